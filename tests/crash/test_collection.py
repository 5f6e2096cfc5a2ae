"""What a collection took away is gone whole after the next one, and nothing else is, wherever it
was killed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

from adapters_registry.registry import Registry
from adapters_registry.storage import blob_table
from adapters_registry.storage.collection.collector import Collector
from adapters_registry.storage.shared_state import SharedState
from server.upkeep.storage import REFERENCES
from tests.crash.places import Place, Places
from tests.crash.reopened import reopened
from tests.crash.sweep import sweep
from tests.crash.transitions import list_transitions
from tests.crash.warm_process import Arm
from tests.registry.build import publish

pytestmark = [pytest.mark.survival("G1", "G8"), pytest.mark.timeout(900)]


def collect(place: Place, arm: Arm) -> None:
    """Without a grace, so that one run does all: mark, decide, delete, forget."""
    collector = build_collector(place.attach())
    arm()
    collector.run(grace_s=0)


def publish_what_is_collected(place: Place, arm: Arm) -> None:
    """Content that was marked, or about to be deleted, is published again."""
    registry = Registry(place.attach())
    arm()
    publish(registry, value=2)
    publish(registry, value=3)


def build_collector(state: SharedState) -> Collector:
    return Collector(state.database, state.blobs, REFERENCES, orphan_age_s=0.0)


@pytest.fixture
def prepare(places: Places) -> Callable[[int], Place]:
    """Versions that are gone: one that is marked for the next run, one that a dead collector was
    about to delete, one that nobody has looked at; and an object of a dead writer.
    """
    with closing(places.original.open()) as state:
        registry = Registry(state)
        for value in (1, 2, 3, 4):
            publish(registry, value=value)
        registry.delete_version("acme", "mail", 2)
        build_collector(state).run(grace_s=1000)
        registry.delete_version("acme", "mail", 3)
        with state.database.write() as db:
            [third] = [row for row in list_unmarked(state) if row.sha256 in garbage_of(state)]
            blob_table.change(db, third, state=blob_table.BlobState.DELETING)
        registry.delete_version("acme", "mail", 4)
        with state.blobs.scratch() as folder:
            (folder / "orphan").write_bytes(b"orphan")
            state.blobs.store.put("sha256/00/0000.1234", folder / "orphan")
    return places.copy


def list_unmarked(state: SharedState) -> list[blob_table.BlobRow]:
    with state.database.read() as db:
        return [row for row in blob_table.list_page(db, "", 100) if row.marked_at is None]


def garbage_of(state: SharedState) -> set[str]:
    """What nothing refers to."""
    with state.database.read() as db:
        rows = {row.sha256 for row in blob_table.list_page(db, "", 100)}
        return rows - set(REFERENCES.list_from(db, "", 100))


def count_left(place: Place) -> tuple[int, int]:
    """Rows of blobs and objects that the killed run left; the next ones take the garbage."""
    with reopened(place) as state:
        with state.database.read() as db:
            num_rows = len(blob_table.list_page(db, "", 100))
        # what a store was tried with is no content
        names = [each.name for each in state.blobs.store.list()]
        num_objects = len([name for name in names if name.startswith("sha256/")])
        assert [v.number for v in Registry(state).versions("acme", "mail")] == [1]
        return num_rows, num_objects


def list_versions(place: Place) -> list[int]:
    with reopened(place) as state:
        registry = Registry(state)
        versions = registry.versions("acme", "mail")
        for version in versions:
            registry.export(version, place.directory / f"export-{version.number}")
        return [version.number for version in versions]


def test_a_collection_is_finished_by_the_next_wherever_it_is_killed(
    prepare: Callable[[int], Place],
) -> None:
    states = list_transitions(sweep(prepare, collect, count_left))
    # a version's weights, the config that all share, and at first the orphan
    assert states[0] == (5, 6)
    assert states[-1] == (2, 2)
    assert states == sorted(states, reverse=True)


@pytest.mark.slow
def test_what_was_to_be_collected_is_whole_wherever_its_publication_is_killed(
    prepare: Callable[[int], Place],
) -> None:
    states = list_transitions(sweep(prepare, publish_what_is_collected, list_versions))
    assert states == [[1], [1, 5], [1, 5, 6]]
