from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters_registry.errors import AliasMoved, RegistryError, UnknownVersion
from adapters_registry.index.sql_index import SqlIndex
from adapters_registry.registry import Registry
from adapters_registry.storage import blob_table
from adapters_registry.storage.blobs import Blob, Blobs
from adapters_registry.storage.disk import Disk
from adapters_registry.storage.shared_state import SharedState
from adapters_registry.values import AliasEvent, Changes
from tests.registry.build import config, lora, publish
from tests.registry.collect import collect, is_tidy
from tests.services.place import Place

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
def test_publishing_and_collecting_the_same_content_at_once_never_loses_a_file(
    registry: Registry,
) -> None:
    publish(registry, value=0)
    for _ in range(8):
        number = publish(registry, value=1).number

        def delete(number: int = number) -> None:
            registry.delete_version("acme", "mail", number)
            collect(registry)

        together(lambda: publish(registry, task="other", value=1), delete)
        files = registry.files(registry.resolve("acme", "other"))
        assert all(path.exists() for _, path, _ in files)
        registry.delete_task("acme", "other")


@pytest.mark.survival("G8")
def test_a_file_collected_while_it_is_published_is_stored_again(place: Place) -> None:
    state = place.open()
    registry = Registry(replace(state, blobs=LosingBlobs.over(state)))
    assert all(path.exists() for _, path, _ in registry.files(publish(registry)))
    assert is_tidy(registry)
    registry.close()


class LosingBlobs(Blobs):
    """Loses what it stored, as if another process collected it, the first few times."""

    num_losses = 3

    @classmethod
    def over(cls, state: SharedState) -> LosingBlobs:
        blobs = state.blobs
        return cls(state.database, blobs.store, blobs._incoming, Disk(), blobs.cache)

    def put(self, source: Path) -> Blob:
        blob = super().put(source)
        if self.num_losses:
            self.num_losses -= 1
            with self.database.write() as db:
                row = blob_table.find(db, blob.sha256)
                assert row is not None
                assert blob_table.remove(db, row)
            self.store.delete(row.object)
        return blob


def test_two_servers_of_one_storage_see_each_other_at_once(
    registry: Registry, elsewhere: Registry
) -> None:
    publish(registry, value=1)
    publish(elsewhere, value=2)
    for number, (writer, reader) in {2: (registry, elsewhere), 1: (elsewhere, registry)}.items():
        assert reader.resolve("acme", "mail").number == 3 - number
        writer.promote("acme", "mail", number)
        assert reader.resolve("acme", "mail").number == number


def test_files_published_on_one_server_are_read_on_another(
    registry: Registry, elsewhere: Registry
) -> None:
    version = publish(registry)
    there = elsewhere.files(elsewhere.resolve("acme", "mail"))
    assert [path.read_bytes() for _, path, _ in there] == [lora(), config()]
    assert [sha256 for _, _, sha256 in there] == [file.sha256 for file in version.manifest.files]


def test_an_alias_that_moves_all_the_time_always_resolves(registry: Registry) -> None:
    publish(registry, value=1)
    publish(registry, value=2)
    stop = threading.Event()

    def move() -> None:
        while not stop.is_set():
            for number in (2, 1):
                registry.promote("acme", "mail", number)

    mover = threading.Thread(target=move)
    mover.start()
    try:
        numbers = {registry.resolve("acme", "mail").number for _ in range(500)}
    finally:
        stop.set()
        mover.join()
    assert numbers <= {1, 2}


@pytest.mark.parametrize("change", ["promote", "rollback", "delete"])
def test_what_another_process_changed_is_seen_at_once(
    registry: Registry, elsewhere: Registry, change: str
) -> None:
    publish(registry)
    publish(registry, value=2)
    assert registry.resolve("acme", "mail").number == 1
    elsewhere.promote("acme", "mail", 2)
    assert registry.resolve("acme", "mail").number == 2
    if change == "rollback":
        elsewhere.rollback("acme", "mail")
        assert registry.resolve("acme", "mail").number == 1
    if change == "delete":
        assert registry.resolve("acme", "mail@1").number == 1
        elsewhere.delete_version("acme", "mail", 1)
        with pytest.raises(UnknownVersion):
            registry.resolve("acme", "mail@1")


def test_a_promotion_costs_the_same_however_often_the_alias_moved(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is read that grows with the history, while all other writers wait."""
    for value in (1, 2):
        publish(registry, value=value)
    registry.promote("acme", "mail", 2)

    def fail(*_: object) -> None:
        raise AssertionError("the history was read")

    with monkeypatch.context() as patched:
        patched.setattr(SqlIndex, "list_events", fail)
        registry.promote("acme", "mail", 1)
    assert [event.sequence for event in registry.history("acme", "mail")] == [1, 2, 3]


def test_a_rollback_beside_a_promotion_goes_back_from_where_the_alias_is(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in (1, 2, 3):
        publish(registry, value=value)
    registry.promote("acme", "mail", 2)
    moves, listed = [3], SqlIndex.list_events

    def meanwhile(index: SqlIndex, *names: str) -> Sequence[AliasEvent]:
        found = listed(index, *names)
        if moves:
            registry.promote("acme", "mail", moves.pop())
        return found

    monkeypatch.setattr(SqlIndex, "list_events", meanwhile)
    assert registry.rollback("acme", "mail").version == 2
