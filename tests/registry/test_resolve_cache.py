"""The cache of refs learns of every change, and keeps nobody waiting for it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from adapters_registry.index import sql_index
from adapters_registry.registry import Registry
from adapters_registry.storage.cache import ResolveCache
from adapters_registry.values import Changes
from tests.registry.build import publish

NOTHING = Changes(sequence=0, tasks=[])


def test_other_callers_are_answered_while_the_index_says_what_changed(embedded: Registry) -> None:
    publish(embedded)
    version, cache = embedded.resolve("acme", "mail"), ResolveCache(max_entries=10)
    free = list[bool]()

    def read_changes(_: int | None) -> Changes:
        free.append(not cache._lock.locked())
        return NOTHING

    cache.resolve(("acme", "mail"), 1, read_changes, lambda: version)
    assert free == [True]


def test_two_callers_who_fill_the_cache_first_lose_no_change_between_them(
    embedded: Registry,
) -> None:
    publish(embedded)
    old = embedded.resolve("acme", "mail")
    new, cache = replace(old, number=2), ResolveCache(max_entries=10)

    def slow(_: int | None) -> Changes:
        cache.resolve(("acme", "mail"), 1, lambda _: NOTHING, lambda: old)
        return Changes(sequence=2, tasks=None)  # the task changed meanwhile

    assert cache.resolve(("acme", "mail"), 2, slow, lambda: new) is new


def test_more_changes_than_are_named_empty_the_cache(
    embedded: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_index, "_MAX_CHANGES", 2)
    elsewhere = Registry.open(tmp_path / "registry")
    publish(embedded)
    before = embedded.resolve("acme", "mail")
    for number in range(3):
        publish(elsewhere, task=f"other{number}")
    after = embedded.resolve("acme", "mail")
    assert after == before
    assert after is not before
    elsewhere.close()


def test_what_an_earlier_release_counted_by_tenant_is_counted_no_more(tmp_path: Path) -> None:
    Registry.open(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "registry.db")) as database:
        database.execute("CREATE TABLE tenant_change (tenant TEXT PRIMARY KEY, number INTEGER)")
        database.execute(
            "CREATE TRIGGER alias_insert_counts AFTER INSERT ON alias "
            "BEGIN INSERT INTO tenant_change VALUES (NEW.tenant, 1); END"
        )
    registry = Registry.open(tmp_path)
    publish(registry)
    registry.close()
    with closing(sqlite3.connect(tmp_path / "registry.db")) as database:
        names = database.execute("SELECT name FROM sqlite_master").fetchall()
    assert not {"tenant_change", "alias_insert_counts"} & {name for (name,) in names}
