"""The data directory of a release with two databases, kept in `golden/`, is taken over whole."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from adapters_registry.errors import BlobMissing, StorageError
from adapters_registry.registry import Registry
from adapters_registry.storage.database import Database
from adapters_registry.storage.disk import Disk
from adapters_registry.storage.earlier_release import KEPT
from adapters_registry.storage.shared_state import SharedState

GOLDEN = Path(__file__).parent / "golden" / "earlier-release"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    (data / "registry").mkdir(parents=True)
    shutil.copytree(GOLDEN / "blobs", data / "registry/blobs")
    shutil.copytree(GOLDEN / "files", data / "files")
    for name, path in (("registry", "registry/registry.db"), ("jobs", "jobs.db")):
        with closing(sqlite3.connect(data / path)) as database:
            database.executescript((GOLDEN / f"{name}.sql").read_text())
    return data


def count(registry: Registry, table: str) -> int:
    with registry.state.database.read() as db:
        return int(db.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one())


@pytest.mark.survival("G7")
def test_versions_aliases_and_their_history_are_taken_over(directory: Path) -> None:
    registry = Registry.open(directory)
    version = registry.resolve("acme", "mail")
    assert version.number == 2
    assert [(each.action, each.reason) for each in registry.history("acme", "mail")] == [
        ("publish", ""),
        ("promote", "because"),
    ]
    registry.export(version, directory / "export")
    assert registry.beside(registry.resolve("acme", "other"), "report") == b'{"a":1}'
    registry.close()


@pytest.mark.survival("G7")
def test_jobs_and_files_are_taken_over_with_one_blob_for_equal_files(directory: Path) -> None:
    registry = Registry.open(directory)
    tables = ("files", "file_names", "jobs", "job_files", "job_events", "blob")
    assert [count(registry, table) for table in tables] == [2, 1, 1, 1, 1, 5]
    registry.close()


def test_what_was_taken_over_is_kept_aside_and_not_taken_over_again(directory: Path) -> None:
    for _ in range(2):
        registry = Registry.open(directory)
        assert count(registry, "version") == 3
        registry.close()
    assert not (directory / "jobs.db").exists()
    assert (directory / KEPT / "registry/registry.db").is_file()


class FailingDisk(Disk):
    """Fails at the nth rename."""

    def __init__(self, num_renames: int) -> None:
        self.left = num_renames

    def rename(self, source: Path, target: Path) -> None:
        if self.left == 0:
            raise OSError(5, "Input/output error")
        self.left -= 1
        super().rename(source, target)


@pytest.mark.survival("G1")
@pytest.mark.parametrize("num_renames", range(5))
def test_a_failure_on_the_way_is_made_good_at_the_next_opening(
    directory: Path, num_renames: int
) -> None:
    with pytest.raises(StorageError):
        Registry.open(directory, disk=FailingDisk(num_renames))
    registry = Registry.open(directory)
    assert [count(registry, table) for table in ("version", "jobs", "files")] == [3, 1, 2]
    registry.export(registry.resolve("acme", "mail"), directory / "export")
    registry.close()


def test_a_file_that_rotted_before_is_missing_and_harms_no_other(directory: Path) -> None:
    report = next(
        path for path in (directory / "registry/blobs").rglob("*") if path.is_file()
        and path.read_bytes() == b'{"a":1}'
    )  # fmt: skip
    report.write_bytes(b'{"a":2}')
    registry = Registry.open(directory)
    with pytest.raises(BlobMissing):
        registry.beside(registry.resolve("acme", "other"), "report")
    assert registry.resolve("acme", "mail").number == 2
    registry.close()


class MeetingDisk(Disk):
    """Two that take over look for the lock at the same moment."""

    def __init__(self, barrier: threading.Barrier) -> None:
        self._barrier = barrier

    def lock(self, file: Path, *, wait: bool = False) -> int | None:
        if wait:
            self._barrier.wait(10)
        return super().lock(file, wait=wait)


@pytest.mark.survival("G7")
def test_of_two_that_open_the_directory_at_once_one_takes_it_over(directory: Path) -> None:
    barrier = threading.Barrier(2)

    def open_and_count(_: int) -> list[int]:
        registry = Registry.open(directory, disk=MeetingDisk(barrier))
        counts = [count(registry, table) for table in ("version", "jobs", "files", "blob")]
        registry.close()
        return counts

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(open_and_count, range(2))) == [[3, 1, 2, 5]] * 2


def test_whoever_takes_over_waits_for_a_process_that_does_so_already(directory: Path) -> None:
    lock = os.open(directory / ".earlier-release.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    opened = threading.Event()

    def open_registry() -> None:
        Registry.open(directory).close()
        opened.set()

    thread = threading.Thread(target=open_registry)
    thread.start()
    assert not opened.wait(0.2)
    os.close(lock)
    thread.join(10)
    assert opened.is_set()


@pytest.mark.survival("G7")
def test_a_database_that_was_not_filled_from_it_hides_nothing(directory: Path) -> None:
    Database.open(f"sqlite:///{directory / 'adapterd.db'}").close()
    with pytest.raises(StorageError, match="was not made from it; to take it over, move"):
        Registry.open(directory)
    assert (directory / "jobs.db").is_file()
    for path in directory.glob("adapterd.db*"):
        path.unlink()
    registry = Registry.open(directory)
    assert count(registry, "version") == 3
    registry.close()


def test_a_start_with_blobs_elsewhere_makes_no_database_beside_it(
    directory: Path, tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match="start once without blobs_url"):
        SharedState.open(directory, blobs_url=f"file://{tmp_path / 'blobs'}")
    assert not (directory / "adapterd.db").exists()


def test_data_that_comes_after_the_taking_over_is_not_moved_away(directory: Path) -> None:
    Registry.open(directory).close()
    shutil.copy(directory / KEPT / "jobs.db", directory / "jobs.db")
    with pytest.raises(StorageError, match="was not made from it"):
        Registry.open(directory)
    assert (directory / "jobs.db").is_file()


def test_whoever_only_looks_takes_nothing_over(directory: Path) -> None:
    before = sorted(directory.rglob("*"))
    with pytest.raises(StorageError, match="run `adapterd migrate`, to take it over"):
        SharedState.attach(directory)
    assert sorted(directory.rglob("*")) == before
