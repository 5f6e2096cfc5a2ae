from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters_registry.errors import AliasMoved, RegistryError, UnknownTask, UnknownVersion
from adapters_registry.index.sql_index import SqlIndex
from adapters_registry.port import Blob
from adapters_registry.registry import Registry
from adapters_registry.storage.cache import ResolveCache
from adapters_registry.testing import MemoryBlobs, MemoryIndex
from adapters_registry.values import AliasEvent, Changes, Version
from tests.registry.build import publish

NOTHING = Changes(sequence=0, tasks=[])


def together(*acts: Callable[[], Any]) -> list[Any]:
    """Run all at once; each one's result, or the error it raised."""
    barrier = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return act()
        except RegistryError as error:
            return error

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


@pytest.mark.survival("B12")
def test_of_many_promotions_expecting_the_same_version_one_wins(registry: Registry) -> None:
    for value in range(1, 6):
        publish(registry, value=value)
    results = together(
        *(lambda n=n: registry.promote("acme", "mail", n, expected=1) for n in (2, 3, 4, 5))
    )
    winners = [result for result in results if not isinstance(result, AliasMoved)]
    assert len(winners) == 1
    assert registry.resolve("acme", "mail").number == winners[0].version
    assert len(registry.history("acme", "mail")) == 2


def test_many_publications_at_once_get_numbers_of_their_own(registry: Registry) -> None:
    results = together(*(lambda v=v: publish(registry, value=v).number for v in range(6)))
    assert sorted(results) == [1, 2, 3, 4, 5, 6]


def test_one_fence_used_at_once_publishes_once(registry: Registry) -> None:
    results = together(
        *(lambda v=v: publish(registry, value=v, fence="job-1").digest for v in range(4))
    )
    assert len(set(results)) == 1


@pytest.mark.survival("G8")
def test_publishing_and_deleting_the_same_content_at_once_never_loses_a_file(
    registry: Registry,
) -> None:
    publish(registry, value=0)
    for _ in range(8):
        number = publish(registry, value=1).number
        together(
            lambda: publish(registry, task="other", value=1),
            lambda n=number: registry.delete_version("acme", "mail", n),  # type: ignore[misc]
        )
        assert registry.files(registry.resolve("acme", "other"))
        registry.delete_task("acme", "other")


@pytest.mark.survival("G8")
def test_a_file_deleted_while_it_is_published_is_stored_again(tmp_path: Path) -> None:
    class Deleting(MemoryBlobs):
        """Loses what it stored, as if another process deleted it, the first few times."""

        num_losses = 3

        def put(self, source: Path) -> Blob:
            blob = super().put(source)
            if self.num_losses:
                self.num_losses -= 1
                self.delete(blob.sha256)
            return blob

    registry = Registry(MemoryIndex(), Deleting(tmp_path / "blobs"), tmp_path / "staging")
    assert registry.files(publish(registry))


def test_two_openings_of_one_directory_see_each_other_at_once(tmp_path: Path) -> None:
    one, two = Registry.open(tmp_path), Registry.open(tmp_path)
    publish(one, value=1)
    publish(two, value=2)
    for number, (writer, reader) in {2: (one, two), 1: (two, one)}.items():
        assert reader.resolve("acme", "mail").number == 3 - number
        writer.promote("acme", "mail", number)
        assert reader.resolve("acme", "mail").number == number
    one.close()
    two.close()


def test_an_alias_that_moves_all_the_time_always_resolves(embedded: Registry) -> None:
    publish(embedded, value=1)
    publish(embedded, value=2)
    stop = threading.Event()

    def move() -> None:
        while not stop.is_set():
            for number in (2, 1):
                embedded.promote("acme", "mail", number)

    mover = threading.Thread(target=move)
    mover.start()
    try:
        numbers = {embedded.resolve("acme", "mail").number for _ in range(500)}
    finally:
        stop.set()
        mover.join()
    assert numbers <= {1, 2}


@pytest.mark.survival("G6")
def test_a_repeated_resolve_asks_the_database_nothing(embedded: Registry) -> None:
    publish(embedded)
    first = embedded.resolve("acme", "mail")
    assert embedded.resolve("acme", "mail") is first


@pytest.mark.survival("C7")
def test_the_cache_is_bounded_and_one_tenants_refs_push_out_no_others(embedded: Registry) -> None:
    publish(embedded)
    version = embedded.resolve("acme", "mail")
    cache = ResolveCache(max_entries=10)
    looks = list[str]()

    def looked(ref: str) -> Version:
        looks.append(ref)
        return version

    def resolve(tenant: str, ref: str) -> None:
        cache.resolve((tenant, ref), 1, lambda _: NOTHING, lambda: looked(ref))

    for number in range(4):
        resolve("acme", f"a{number}")
    for number in range(100):
        resolve("globex", f"g{number}")
    assert cache.num_entries == 10
    del looks[:]
    for number in range(4):
        resolve("acme", f"a{number}")
    assert looks == []


def test_a_write_of_one_task_leaves_what_is_known_of_another(embedded: Registry) -> None:
    publish(embedded)
    first = embedded.resolve("acme", "mail")
    publish(embedded, task="other")
    publish(embedded, tenant="globex")
    assert embedded.resolve("acme", "mail") is first


def test_what_another_process_writes_of_one_task_leaves_what_is_known_of_another(
    embedded: Registry, tmp_path: Path
) -> None:
    elsewhere = Registry.open(tmp_path / "registry")
    publish(embedded)
    publish(embedded, task="other")
    kept, moved = embedded.resolve("acme", "mail"), embedded.resolve("acme", "other")
    publish(elsewhere, task="other", value=2, promote=True)
    assert embedded.resolve("acme", "mail") is kept
    assert embedded.resolve("acme", "other").number == moved.number + 1
    elsewhere.close()


@pytest.mark.survival("G6")
def test_refs_stay_known_while_other_tasks_are_registered_all_the_time(
    embedded: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(embedded)
    embedded.resolve("acme", "mail")
    looks = list[str]()
    find = SqlIndex.find_aliased

    def counting(index: SqlIndex, tenant: str, task: str, alias: str) -> Version | None:
        looks.append(task)
        return find(index, tenant, task, alias)

    monkeypatch.setattr(SqlIndex, "find_aliased", counting)
    for number in range(10):
        publish(embedded, task=f"new{number}")
        embedded.resolve("acme", "mail")
    assert looks == []


@pytest.mark.parametrize("ref", ["mail", "mail@1", "mail@production"])
def test_every_ref_of_a_task_is_looked_up_again_once_it_changed(
    embedded: Registry, ref: str
) -> None:
    publish(embedded)
    publish(embedded, value=2)
    first = embedded.resolve("acme", ref)
    embedded.promote("acme", "mail", 2)
    assert embedded.resolve("acme", ref) is not first


def test_a_task_that_is_deleted_and_made_anew_is_not_taken_for_the_old_one(
    embedded: Registry, tmp_path: Path
) -> None:
    elsewhere = Registry.open(tmp_path / "registry")
    publish(embedded)
    old = embedded.resolve("acme", "mail")
    elsewhere.delete_task("acme", "mail")
    with pytest.raises(UnknownTask):
        embedded.resolve("acme", "mail")
    publish(elsewhere, value=3)
    assert embedded.resolve("acme", "mail").number == old.number + 1
    elsewhere.close()


@pytest.mark.survival("G8")
def test_an_index_of_an_earlier_release_counts_changes_from_its_opening_on(tmp_path: Path) -> None:
    registry = Registry.open(tmp_path)
    publish(registry)
    registry.close()
    with closing(sqlite3.connect(tmp_path / "registry.db")) as database:
        names = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in names:
            database.execute(f"DROP TRIGGER {name}")
        database.execute("DROP TABLE task_change")
    one, two = Registry.open(tmp_path), Registry.open(tmp_path)
    assert two.resolve("acme", "mail").number == 1
    publish(one, value=2, promote=True)
    assert two.resolve("acme", "mail").number == 2
    one.close()
    two.close()


def test_an_answer_that_was_read_before_a_write_is_not_kept(embedded: Registry) -> None:
    """Whatever order two slow threads come back in."""
    publish(embedded)
    old, cache = embedded.resolve("acme", "mail"), ResolveCache(max_entries=10)
    new = replace(old, number=2)
    changed = Changes(sequence=2, tasks=[("acme", "mail")])

    def slow() -> Version:
        # meanwhile the task changed, another call saw it, and a third read the old generation
        for generation in (2, 1):
            cache.resolve(("acme", "other"), generation, lambda _: changed, lambda: new)
        return old

    assert cache.resolve(("acme", "mail"), 1, lambda _: NOTHING, slow) is old
    assert cache.resolve(("acme", "mail"), 2, lambda _: changed, lambda: new) is new


@pytest.mark.parametrize("change", ["promote", "rollback", "delete"])
def test_what_another_process_changed_is_seen_at_once(
    embedded: Registry, tmp_path: Path, change: str
) -> None:
    elsewhere = Registry.open(tmp_path / "registry")
    publish(embedded)
    publish(embedded, value=2)
    assert embedded.resolve("acme", "mail").number == 1
    elsewhere.promote("acme", "mail", 2)
    assert embedded.resolve("acme", "mail").number == 2
    if change == "rollback":
        elsewhere.rollback("acme", "mail")
        assert embedded.resolve("acme", "mail").number == 1
    if change == "delete":
        assert embedded.resolve("acme", "mail@1").number == 1
        elsewhere.delete_version("acme", "mail", 1)
        with pytest.raises(UnknownVersion):
            embedded.resolve("acme", "mail@1")
    elsewhere.close()


def test_a_promotion_costs_the_same_however_often_the_alias_moved(
    embedded: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is read that grows with the history, while all other writers wait."""
    for value in (1, 2):
        publish(embedded, value=value)
    embedded.promote("acme", "mail", 2)

    def fail(*_: object) -> None:
        raise AssertionError("the history was read")

    with monkeypatch.context() as patched:
        patched.setattr(SqlIndex, "list_events", fail)
        embedded.promote("acme", "mail", 1)
    assert [event.sequence for event in embedded.history("acme", "mail")] == [1, 2, 3]


def test_a_rollback_beside_a_promotion_goes_back_from_where_the_alias_is(
    embedded: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in (1, 2, 3):
        publish(embedded, value=value)
    embedded.promote("acme", "mail", 2)
    moves, listed = [3], SqlIndex.list_events

    def meanwhile(index: SqlIndex, *names: str) -> Sequence[AliasEvent]:
        found = listed(index, *names)
        if moves:
            embedded.promote("acme", "mail", moves.pop())
        return found

    monkeypatch.setattr(SqlIndex, "list_events", meanwhile)
    assert embedded.rollback("acme", "mail").version == 2
