"""The cache of refs learns of every change, and keeps nobody waiting for it."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from adapters_registry.errors import NotFound, UnknownTask, UnknownVersion
from adapters_registry.index import sql_index
from adapters_registry.index.sql_index import SqlIndex
from adapters_registry.registry import Registry
from adapters_registry.storage.cache import ResolveCache
from adapters_registry.values import Changes, Version
from tests.registry.build import publish

KEY = ("acme", "mail")
NOTHING = Changes(sequence=0, tasks=[])


def test_other_callers_are_answered_while_a_ref_is_looked_up(registry: Registry) -> None:
    publish(registry)
    version, cache = registry.resolve(*KEY), ResolveCache(max_entries=10)
    cache.see(NOTHING)
    cache.fill(("acme", "other"), "other", lambda: version)
    answers = list[Version | None]()

    def look_up() -> Version:
        answers.append(cache.find(("acme", "other")))
        return version

    cache.fill(KEY, "mail", look_up)
    assert answers == [version]


def test_other_callers_are_answered_while_the_index_says_what_changed(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(registry)
    version, answers = registry.resolve(*KEY), list[Version | None]()
    read_changes = SqlIndex.changes_since

    def slow(index: SqlIndex, sequence: int | None) -> Changes:
        answers.append(registry.recall(*KEY))
        return read_changes(index, sequence)

    monkeypatch.setattr(SqlIndex, "changes_since", slow)
    registry.refresh()
    assert answers == [version]


def test_what_is_read_before_the_first_look_at_the_changes_is_not_kept(registry: Registry) -> None:
    publish(registry)
    version, cache = registry.resolve(*KEY), ResolveCache(max_entries=10)
    assert cache.fill(KEY, "mail", lambda: version) is version
    assert cache.find(KEY) is None


def test_two_callers_who_fill_the_cache_first_lose_no_change_between_them(
    registry: Registry,
) -> None:
    publish(registry)
    old = registry.resolve(*KEY)
    new, cache = replace(old, number=2), ResolveCache(max_entries=10)
    cache.see(NOTHING)
    cache.fill(KEY, "mail", lambda: old)
    # the task changed before the other caller's first look, which names no task
    cache.see(Changes(sequence=2, tasks=None))
    assert cache.fill(KEY, "mail", lambda: new) is new
    assert cache.find(KEY) is new


def test_changes_that_come_late_take_nothing_newer_away(registry: Registry) -> None:
    publish(registry)
    version, cache = registry.resolve(*KEY), ResolveCache(max_entries=10)
    cache.see(Changes(sequence=3, tasks=[KEY]))
    cache.fill(KEY, "mail", lambda: version)
    cache.see(Changes(sequence=2, tasks=[KEY]))
    assert (cache.find(KEY), cache.sequence) == (version, 3)


def test_more_changes_than_are_named_empty_the_cache(
    registry: Registry, elsewhere: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_index, "_MAX_CHANGES", 2)
    publish(registry)
    before = registry.resolve(*KEY)
    for number in range(3):
        publish(elsewhere, task=f"other{number}")
    after = registry.resolve(*KEY)
    assert after == before
    assert after is not before


@pytest.mark.survival("G6")
def test_a_ref_is_recalled_without_the_database(registry: Registry) -> None:
    publish(registry)
    version, statements = registry.resolve(*KEY), list[str]()

    def note(*event: object) -> None:
        statements.append(str(event[2]))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        assert registry.recall(*KEY) is version
        assert registry.recall("acme", "nothing") is None
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert statements == []


def test_nothing_is_recalled_of_what_was_never_resolved(registry: Registry) -> None:
    publish(registry)
    assert registry.recall(*KEY) is None


def test_that_a_ref_names_nothing_is_recalled_too(registry: Registry) -> None:
    publish(registry)
    for ref in ("mail@2", "mail@canary", "nothing"):
        with pytest.raises(NotFound) as found:
            registry.resolve("acme", ref)
        with pytest.raises(type(found.value), match=str(found.value)):
            registry.recall("acme", ref)


@pytest.mark.parametrize("ref", ["mail", "mail@1", "mail@2", "mail@canary"])
def test_what_another_server_makes_is_found_though_it_was_known_not_to_be(
    registry: Registry, elsewhere: Registry, ref: str
) -> None:
    with pytest.raises(NotFound):
        registry.resolve("acme", ref)
    for value in (1, 2):
        publish(elsewhere, value=value)
        with suppress(NotFound):
            registry.resolve("acme", ref)
    if ref == "mail@canary":
        elsewhere.promote(*KEY, 1, alias="canary")
    assert registry.resolve("acme", ref) == elsewhere.resolve("acme", ref)


def test_what_is_changed_here_is_not_recalled_as_it_was(registry: Registry) -> None:
    for value in (1, 2):
        publish(registry, value=value)
    registry.resolve(*KEY)
    registry.promote(*KEY, 2)
    assert registry.recall(*KEY) is None
    assert registry.resolve(*KEY).number == 2


def test_what_another_server_changed_is_recalled_as_it_was_until_the_next_refresh(
    registry: Registry, elsewhere: Registry
) -> None:
    for value in (1, 2):
        publish(registry, value=value)
    old = registry.resolve(*KEY)
    elsewhere.promote(*KEY, 2)
    assert registry.recall(*KEY) is old
    registry.refresh()
    assert registry.recall(*KEY) is None


def test_a_version_that_another_server_deleted_is_recalled_no_more_after_a_refresh(
    registry: Registry, elsewhere: Registry
) -> None:
    for value in (1, 2):
        publish(registry, value=value)
    registry.resolve("acme", "mail@2")
    elsewhere.delete_version(*KEY, 2)
    registry.refresh()
    assert registry.recall("acme", "mail@2") is None
    with pytest.raises(UnknownVersion):
        registry.resolve("acme", "mail@2")


@pytest.mark.survival("G6")
def test_a_repeated_resolve_asks_the_database_nothing(registry: Registry) -> None:
    publish(registry)
    first = registry.resolve("acme", "mail")
    assert registry.resolve("acme", "mail") is first


@pytest.mark.survival("C7")
def test_the_cache_is_bounded_and_one_tenants_refs_push_out_no_others(registry: Registry) -> None:
    publish(registry)
    version = registry.resolve("acme", "mail")
    cache = ResolveCache(max_entries=10)
    cache.see(NOTHING)
    for number in range(4):
        cache.fill(("acme", f"a{number}"), "mail", lambda: version)
    for number in range(100):
        cache.fill(("globex", f"g{number}"), "mail", lambda: version)
    assert cache.num_entries == 10
    assert all(cache.find(("acme", f"a{number}")) is version for number in range(4))


def test_a_write_of_one_task_leaves_what_is_known_of_another(registry: Registry) -> None:
    publish(registry)
    first = registry.resolve("acme", "mail")
    publish(registry, task="other")
    publish(registry, tenant="globex")
    assert registry.resolve("acme", "mail") is first


def test_what_another_process_writes_of_one_task_leaves_what_is_known_of_another(
    registry: Registry, elsewhere: Registry
) -> None:
    publish(registry)
    publish(registry, task="other")
    kept, moved = registry.resolve("acme", "mail"), registry.resolve("acme", "other")
    publish(elsewhere, task="other", value=2, promote=True)
    assert registry.resolve("acme", "mail") is kept
    assert registry.resolve("acme", "other").number == moved.number + 1


@pytest.mark.survival("G6")
def test_refs_stay_known_while_other_tasks_are_registered_all_the_time(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(registry)
    registry.resolve("acme", "mail")
    looks = list[str]()
    find = SqlIndex.find_aliased

    def counting(index: SqlIndex, tenant: str, task: str, alias: str) -> Version | None:
        looks.append(task)
        return find(index, tenant, task, alias)

    monkeypatch.setattr(SqlIndex, "find_aliased", counting)
    for number in range(10):
        publish(registry, task=f"new{number}")
        registry.resolve("acme", "mail")
    assert looks == []


@pytest.mark.parametrize("ref", ["mail", "mail@1", "mail@production"])
def test_every_ref_of_a_task_is_looked_up_again_once_it_changed(
    registry: Registry, ref: str
) -> None:
    publish(registry)
    publish(registry, value=2)
    first = registry.resolve("acme", ref)
    registry.promote("acme", "mail", 2)
    assert registry.resolve("acme", ref) is not first


def test_a_task_that_is_deleted_and_made_anew_is_not_taken_for_the_old_one(
    registry: Registry, elsewhere: Registry
) -> None:
    publish(registry)
    old = registry.resolve("acme", "mail")
    elsewhere.delete_task("acme", "mail")
    with pytest.raises(UnknownTask):
        registry.resolve("acme", "mail")
    publish(elsewhere, value=3)
    assert registry.resolve("acme", "mail").number == old.number + 1


def test_an_answer_that_was_read_before_a_write_is_not_kept(registry: Registry) -> None:
    """Whatever order slow threads come back in."""
    publish(registry)
    old, cache = registry.resolve("acme", "mail"), ResolveCache(max_entries=10)
    cache.see(NOTHING)
    new = replace(old, number=2)

    def slow() -> Version:
        # meanwhile the task changed, another call saw it, and a third read what was before
        cache.see(Changes(sequence=2, tasks=[("acme", "mail")]))
        cache.see(NOTHING)
        return old

    assert cache.fill(("acme", "mail"), "mail", slow) is old
    assert cache.find(("acme", "mail")) is None
    assert cache.fill(("acme", "mail"), "mail", lambda: new) is new
    assert cache.find(("acme", "mail")) is new


@pytest.mark.survival("G9")
def test_a_database_that_went_back_to_an_older_copy_is_not_answered_from_memory(
    embedded: Registry, tmp_path: Path
) -> None:
    publish(embedded)
    publish(embedded, value=2)
    older = tmp_path / "older.db"
    with closing(sqlite3.connect(older)) as copy, closing(_connect(tmp_path)) as source:
        source.backup(copy)
    embedded.promote("acme", "mail", 2)
    assert embedded.resolve("acme", "mail").number == 2
    with closing(sqlite3.connect(older)) as copy, closing(_connect(tmp_path)) as target:
        copy.backup(target)
    assert embedded.resolve("acme", "mail").number == 1


def _connect(directory: Path) -> sqlite3.Connection:
    return sqlite3.connect(directory / "registry" / "adapterd.db")
