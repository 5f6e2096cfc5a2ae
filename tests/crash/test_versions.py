"""A version is there whole or not at all, wherever its publication or deletion was killed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

from adapters_registry.errors import UnknownTask
from adapters_registry.registry import Registry
from tests.crash.places import Place, Places
from tests.crash.reopened import reopened
from tests.crash.sweep import sweep
from tests.crash.transitions import list_transitions
from tests.crash.warm_process import Arm
from tests.registry.build import publish

pytestmark = [pytest.mark.survival("G1"), pytest.mark.timeout(900)]
#: the other storage in `make test-all`
embedded_first = pytest.mark.parametrize(
    "places", ["embedded", pytest.param("remote", marks=pytest.mark.slow)], indirect=True
)
remote_first = pytest.mark.parametrize(
    "places", [pytest.param("embedded", marks=pytest.mark.slow), "remote"], indirect=True
)


def publish_third(place: Place, arm: Arm) -> None:
    registry = Registry(place.attach())
    arm()
    publish(registry, value=3, beside={"report": b"third"})


def delete_second(place: Place, arm: Arm) -> None:
    registry = Registry(place.attach())
    arm()
    registry.delete_version("acme", "mail", 2)


def delete_task(place: Place, arm: Arm) -> None:
    registry = Registry(place.attach())
    arm()
    registry.delete_task("acme", "mail")


def promote_and_roll_back(place: Place, arm: Arm) -> None:
    registry = Registry(place.attach())
    arm()
    registry.promote("acme", "mail", 2)
    registry.rollback("acme", "mail")


def serve_second(place: Place, arm: Arm) -> None:
    """On a machine that has no copy of it."""
    registry = Registry(place.attach())
    arm()
    list(registry.files(registry.resolve("acme", "mail@2")))


@pytest.fixture
def prepare(places: Places) -> Callable[[int], Place]:
    with closing(places.original.open()) as state:
        registry = Registry(state)
        publish(registry, value=1)
        publish(registry, value=2)
    return places.copy


def list_whole_versions(place: Place) -> list[int]:
    """Their numbers; each is read and verified, and one more can be published."""
    with reopened(place) as state:
        registry = Registry(state)
        numbers = list_numbers(registry)
        for number in numbers:
            version = registry.resolve("acme", f"mail@{number}")
            registry.export(version, place.directory / f"export-{number}")
        again = publish(registry, value=9)
        assert registry.resolve("acme", f"mail@{again.number}") == again
        return numbers


def list_numbers(registry: Registry) -> list[int]:
    try:
        return [version.number for version in registry.versions("acme", "mail")]
    except UnknownTask:
        return []


def read_production(place: Place) -> tuple[int, int]:
    """The version that the alias names, and how often it moved."""
    with reopened(place) as state:
        registry = Registry(state)
        moves = registry.history("acme", "mail")
        number = registry.resolve("acme", "mail").number
        assert number == moves[-1].version
        return number, len(moves)


def serve_again(place: Place) -> list[int]:
    """After the deletion of what was being read, too, no copy of it stays."""
    with reopened(place) as state:
        registry = Registry(state)
        numbers = list_numbers(registry)
        files = registry.files(registry.resolve("acme", "mail@2"))
        assert all(path.stat().st_size for _, path, _ in files)
        registry.delete_version("acme", "mail", 2)
        return numbers


@embedded_first
def test_a_version_is_absent_or_whole_wherever_its_publication_is_killed(
    prepare: Callable[[int], Place],
) -> None:
    states = sweep(prepare, publish_third, list_whole_versions)
    assert len(states) > 30
    assert list_transitions(states) == [[1, 2], [1, 2, 3]]


@remote_first
def test_a_version_is_whole_or_gone_wherever_its_deletion_is_killed(
    prepare: Callable[[int], Place],
) -> None:
    states = sweep(prepare, delete_second, list_whole_versions)
    assert list_transitions(states) == [[1, 2], [1]]


@pytest.mark.slow
def test_a_task_is_whole_or_gone_wherever_its_deletion_is_killed(
    prepare: Callable[[int], Place],
) -> None:
    states = sweep(prepare, delete_task, list_whole_versions)
    assert list_transitions(states) == [[1, 2], []]


@remote_first
def test_an_alias_agrees_with_its_history_wherever_a_move_is_killed(
    prepare: Callable[[int], Place],
) -> None:
    states = sweep(prepare, promote_and_roll_back, read_production)
    assert list_transitions(states) == [(1, 1), (2, 2), (1, 3)]


@pytest.mark.slow
def test_a_version_can_be_read_wherever_its_first_reader_is_killed(
    prepare: Callable[[int], Place],
) -> None:
    states = sweep(prepare, serve_second, serve_again)
    assert list_transitions(states) == [[1, 2]]
