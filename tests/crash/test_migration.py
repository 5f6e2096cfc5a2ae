"""The schema has one revision with all its rows, wherever a step forward or back was killed."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from adapters_registry.registry import Registry
from adapters_registry.storage import schema
from adapters_registry.storage.database import Database
from adapters_registry.storage.earlier_release import KEPT
from tests.crash.places import EmbeddedPlaces, Place, Places
from tests.crash.reopened import reopened
from tests.crash.sweep import sweep
from tests.crash.test_versions import list_numbers
from tests.crash.transitions import list_transitions
from tests.crash.warm_process import Arm
from tests.registry.build import publish
from tests.storage.test_earlier_release import GOLDEN
from tests.storage.test_schema import EARLIER_STATEMENTS, rows_of, run
from trainer.jobs.store import JobStore

pytestmark = [pytest.mark.survival("G1"), pytest.mark.timeout(900), pytest.mark.slow]

OLDEST = "0001"


def start(place: Place, arm: Arm) -> None:
    arm()
    if place.database_url is not None:
        Database.open(place.database_url, migrate=True).close()
    place.open()


def upgrade(place: Place, arm: Arm) -> None:
    engine = place.attach().database.engine
    arm()
    schema.upgrade(engine)


def go_back(place: Place, arm: Arm) -> None:
    engine = place.attach().database.engine
    arm()
    schema.go_to(engine, OLDEST)


@contextmanager
def opened_engine(place: Place) -> Iterator[sa.Engine]:
    state = place.attach()
    yield state.database.engine
    state.close()


@pytest.fixture
def prepare_nothing(places: Places) -> Callable[[int], Place]:
    places.original.directory.mkdir(exist_ok=True)
    if places.original.database_url is not None:
        with opened_engine(places.original) as engine, engine.begin() as connection:
            schema.clear_within(connection)
    return places.copy


@pytest.fixture
def prepare_oldest(places: Places) -> Callable[[int], Place]:
    """Rows as the oldest release wrote them."""
    with opened_engine(places.original) as engine:
        schema.upgrade(engine)
        schema.go_to(engine, OLDEST)
        run(engine, EARLIER_STATEMENTS[OLDEST])
    return places.copy


@pytest.fixture
def prepare_newest(
    prepare_oldest: Callable[[int], Place], places: Places
) -> Callable[[int], Place]:
    with opened_engine(places.original) as engine:
        schema.upgrade(engine)
    return prepare_oldest


def read_revision(place: Place) -> str | None:
    """The steps that are left can be taken from there, and back, with every row."""
    with opened_engine(place) as engine:
        present = schema.current(engine)
        before = rows_of(engine)
        schema.go_to(engine, schema.head())
        newest = rows_of(engine)
        assert before.items() <= newest.items()
        schema.go_to(engine, OLDEST)
        oldest = rows_of(engine)
        assert oldest.items() <= newest.items()
        assert {name: len(rows) for name, rows in oldest.items()}["version"] == 1
        return present


def list_versions(place: Place) -> list[int]:
    """A start goes on where the one before died."""
    if place.database_url is not None:
        Database.open(place.database_url, migrate=True).close()
    with reopened(place) as state:
        registry = Registry(state)
        numbers = list_numbers(registry)
        publish(registry, "other")
        return numbers


def test_a_first_start_can_be_made_again_wherever_it_is_killed(
    prepare_nothing: Callable[[int], Place],
) -> None:
    assert list_transitions(sweep(prepare_nothing, start, list_versions)) == [[]]


def test_the_schema_is_old_or_new_wherever_a_migration_is_killed(
    prepare_oldest: Callable[[int], Place],
) -> None:
    states = list_transitions(sweep(prepare_oldest, upgrade, read_revision, every_statement=True))
    assert states == [OLDEST, schema.head()]


def test_the_schema_is_new_or_old_wherever_the_way_back_is_killed(
    prepare_newest: Callable[[int], Place],
) -> None:
    states = list_transitions(sweep(prepare_newest, go_back, read_revision, every_statement=True))
    assert states == [schema.head(), OLDEST]


def open_state(place: Place, arm: Arm) -> None:
    arm()
    place.open().close()


@pytest.fixture
def prepare_earlier_release(tmp_path: Path) -> Callable[[int], Place]:
    places = EmbeddedPlaces(tmp_path)
    data = places.original.directory
    (data / "registry").mkdir(parents=True)
    shutil.copytree(GOLDEN / "blobs", data / "registry/blobs")
    shutil.copytree(GOLDEN / "files", data / "files")
    for name, path in (("registry", "registry/registry.db"), ("jobs", "jobs.db")):
        with closing(sqlite3.connect(data / path)) as database:
            database.executescript((GOLDEN / f"{name}.sql").read_text())
    return places.copy


def count_taken_over(place: Place) -> tuple[int, int, int]:
    """What was taken over; nothing of the earlier release is lost, nor left in the way."""
    with reopened(place) as state:
        registry, store = Registry(state), JobStore(state.database)
        registry.export(registry.resolve("acme", "mail"), place.directory / "export")
        assert len(store.list_jobs("acme", None, 10)) == 1
        with state.database.read() as db:
            numbers = [
                int(db.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one())
                for table in ("version", "jobs", "files")
            ]
    kept = place.directory / KEPT
    for folder in ("blobs", "files"):
        here = kept / ("registry/blobs" if folder == "blobs" else folder)
        names = {path.relative_to(GOLDEN / folder) for path in (GOLDEN / folder).rglob("*")}
        assert {path.relative_to(here) for path in here.rglob("*")} == names
    assert (kept / "jobs.db").is_file()
    assert (kept / "registry/registry.db").is_file()
    assert not list(place.directory.glob("*.part*"))
    return numbers[0], numbers[1], numbers[2]


def test_an_earlier_release_is_taken_over_whole_wherever_it_is_killed(
    prepare_earlier_release: Callable[[int], Place],
) -> None:
    states = sweep(prepare_earlier_release, open_state, count_taken_over)
    assert list_transitions(states) == [(3, 1, 2)]
