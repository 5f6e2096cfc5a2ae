"""A backup is whole or none, and a restore changed everything or nothing, wherever it was killed;
each is completed by running it again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters_registry.registry import Registry
from adapters_registry.storage.backup.backup import Backup
from adapters_registry.storage.backup.place import BackupPlace, blob_name
from adapters_registry.storage.backup.restore import Restore
from adapters_registry.storage.shared_state import SharedState
from server.upkeep.storage import REFERENCES
from tests.crash.places import Place, Places
from tests.crash.reopened import reopened
from tests.crash.sweep import sweep
from tests.crash.test_files import open_files, put
from tests.crash.test_versions import list_numbers
from tests.crash.transitions import list_transitions
from tests.crash.warm_process import Arm
from tests.registry.build import publish
from tests.storage.test_backup import rows_of

pytestmark = [pytest.mark.survival("G1", "G9"), pytest.mark.timeout(1800), pytest.mark.slow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A state, and where its backups are."""

    place: Place
    backups: str


def back_up(site: Site, arm: Arm) -> None:
    state = site.place.attach()
    arm()
    Backup(state.database, state.blobs, REFERENCES, BackupPlace(site.backups)).run()


def restore(site: Site, arm: Arm) -> None:
    state = site.place.attach()
    arm()
    restore_into(state, site)


def restore_into(state: SharedState, site: Site) -> None:
    Restore(state.database, state.blobs, BackupPlace(site.backups)).run(replace=True)


def fill(state: SharedState, *values: int) -> None:
    put(open_files(state), b"rows\n")
    for value in values:
        publish(Registry(state), value=value)


@pytest.fixture
def prepare_backup(places: Places, tmp_path: Path) -> Callable[[int], Site]:
    with closing(places.original.open()) as state:
        fill(state, 1, 2)

    def prepare(number: int) -> Site:
        place = places.copy(number)
        where = place.blobs_url or str(tmp_path / str(number))
        return Site(place=place, backups=f"{where}-backups")

    return prepare


@pytest.fixture(params=["empty", "used"])
def prepare_restore(
    request: pytest.FixtureRequest, places: Places, tmp_path: Path
) -> Callable[[int], Site]:
    """A backup of two versions, and a place with nothing or with another version."""
    with closing(SharedState.open(tmp_path / "source")) as source:
        fill(source, 1, 2)
        place = BackupPlace(str(tmp_path / "backups"))
        Backup(source.database, source.blobs, REFERENCES, place).run()
    with closing(places.original.open()) as state:
        if request.param == "used":
            fill(state, 3)
    return lambda number: Site(place=places.copy(number), backups=str(tmp_path / "backups"))


def count_backups(site: Site) -> int:
    """How many look whole: those can be restored, and so can the next one. Servers go on."""
    with reopened(site.place) as state:
        assert list_numbers(Registry(state)) == [1, 2]
    backups = BackupPlace(site.backups)
    num_backups = len(backups.list_backups())
    if num_backups:
        check_restored(site)
    with closing(site.place.attach()) as state:
        Backup(state.database, state.blobs, REFERENCES, backups).run()
    check_complete(backups)
    folder = Path(site.backups)
    assert "://" in site.backups or not list((folder / "incoming").iterdir())
    return num_backups


def check_complete(backups: BackupPlace) -> None:
    """The newest one: every file of rows and every blob that they name is there and right."""
    manifest = backups.read_manifest()
    assert not manifest.lost
    rows = {table: [*backups.read_rows(manifest, table)] for table in manifest.tables}
    blobs = [json.loads(line) for line in rows["blob"]]
    assert len(blobs) == manifest.num_blobs > 0
    with backups.scratch() as folder:
        for blob in blobs:
            backups.fetch(blob_name(blob["sha256"]), blob["sha256"], folder)


def check_restored(site: Site) -> None:
    """The newest backup holds every row and all bytes."""
    target = site.place.directory / f"restored-{len(BackupPlace(site.backups).list_backups())}"
    with closing(SharedState.attach(target)) as state, closing(site.place.attach()) as source:
        restore_into(state, site)
        assert rows_of(state.database) == rows_of(source.database)
    with reopened(Place(directory=target)) as state:
        registry = Registry(state)
        for number in list_numbers(registry):
            registry.export(registry.resolve("acme", f"mail@{number}"), target / f"e-{number}")


def list_restored(site: Site) -> list[tuple[int, str]]:
    """The versions that are there; a second restore brings those of the backup."""
    with reopened(site.place) as state:
        seen = list_contents(Registry(state))
    with closing(site.place.attach()) as state:
        restore_into(state, site)
    with reopened(site.place) as state:
        assert list_contents(Registry(state)) == list_contents_of_source(site)
    return seen


def list_contents(registry: Registry) -> list[tuple[int, str]]:
    return [
        (number, registry.resolve("acme", f"mail@{number}").digest)
        for number in list_numbers(registry)
    ]


def list_contents_of_source(site: Site) -> list[tuple[int, str]]:
    with closing(SharedState.open(Path(site.backups).with_name("source"))) as state:
        return list_contents(Registry(state))


def test_a_backup_is_whole_or_none_wherever_it_is_killed(
    prepare_backup: Callable[[int], Site],
) -> None:
    assert list_transitions(sweep(prepare_backup, back_up, count_backups)) == [0, 1]


def test_a_restore_changed_everything_or_nothing_wherever_it_is_killed(
    prepare_restore: Callable[[int], Site],
) -> None:
    states = list_transitions(sweep(prepare_restore, restore, list_restored))
    assert len(states) == 2
    assert [number for number, _ in states[1]] == [1, 2]
