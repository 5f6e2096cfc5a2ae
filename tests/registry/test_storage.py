"""What the disk does to us: full, read-only, rotten, cut off, reordered."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from sqlalchemy import Connection, event

from adapters_registry.errors import (
    BlobCorrupt,
    BlobMissing,
    StorageBusy,
    StorageError,
    StorageFull,
    StorageReadOnly,
    WrongSchema,
)
from adapters_registry.registry import Registry
from adapters_registry.storage.disk import Disk
from tests.registry.build import publish
from tests.registry.collect import collect, is_tidy, remove_orphans


class FailingDisk(Disk):
    """Fails the named call with the given error while armed."""

    def __init__(self, call: str, number: int) -> None:
        self.call, self.number, self.armed = call, number, False

    def _fail(self, call: str) -> None:
        if self.armed and call == self.call:
            raise OSError(self.number, os.strerror(self.number), "/secret/path")

    def make_directory(self, path: Path) -> None:
        self._fail("make_directory")
        super().make_directory(path)

    def append(self, file: BinaryIO, chunk: bytes) -> None:
        self._fail("append")
        super().append(file, chunk)

    def sync(self, file: BinaryIO) -> None:
        self._fail("sync")
        super().sync(file)

    def link(self, source: Path, target: Path) -> None:
        self._fail("link")
        super().link(source, target)

    def sync_directory(self, path: Path) -> None:
        self._fail("sync_directory")
        super().sync_directory(path)


CALLS = ["make_directory", "append", "sync", "link", "sync_directory"]
NUMBERS = {errno.ENOSPC: StorageFull, errno.EROFS: StorageReadOnly, errno.EIO: StorageError}


@pytest.mark.survival("G3")
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("number", NUMBERS, ids=errno.errorcode.get)
def test_a_failing_disk_is_a_typed_error_and_the_registry_goes_on(
    tmp_path: Path, call: str, number: int
) -> None:
    disk = FailingDisk(call, number)
    registry = Registry.open(tmp_path / "data", disk=disk)
    first = publish(registry, value=1)
    disk.armed = True
    with pytest.raises(NUMBERS[number]) as caught:
        publish(registry, value=2)
    assert "/secret" not in str(caught.value)
    assert registry.resolve("acme", "mail") == first
    assert list((tmp_path / "data/staging").iterdir()) == []
    disk.armed = False
    assert publish(registry, value=2).number == 2
    remove_orphans(registry)
    collect(registry)
    assert is_tidy(registry)
    registry.close()


@pytest.mark.survival("G2")
def test_files_and_directories_are_synced_before_the_database_says_so(tmp_path: Path) -> None:
    steps: list[str] = []

    class Noting(Disk):
        def sync(self, file: BinaryIO) -> None:
            steps.append("sync")
            super().sync(file)

        def link(self, source: Path, target: Path) -> None:
            steps.append("link")
            super().link(source, target)

        def sync_directory(self, path: Path) -> None:
            steps.append(f"sync {'shard' if len(path.name) == 2 else 'parent'}")
            super().sync_directory(path)

    def note_commit(connection: Connection) -> None:
        if connection.get_execution_options().get("writes"):
            steps.append("commit")

    registry = Registry.open(tmp_path / "data", disk=Noting())
    event.listen(registry.state.database.engine, "commit", note_commit)
    publish(registry, value=1)
    steps.clear()
    publish(registry, value=2)
    registry.close()
    stored = [step for step in steps if step != "sync parent"]
    # Two files staged; then the new one copied, named, and its name made durable, and only then
    # its row; the other copied to see that it is there; and last the rows of the version.
    assert stored[:2] == ["sync", "sync"]
    assert stored[2:6] == ["sync", "link", "sync shard", "commit"]
    assert stored[6:] == ["sync", "commit"]


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder, and an effective user who owns nothing in it: permissions do not stop root."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    user = os.geteuid()
    yield folder
    os.seteuid(user)
    for path in (folder, folder / "data"):
        path.chmod(0o755)
    shutil.rmtree(folder)


def step_down(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    if os.geteuid() == 0:
        os.seteuid(65534)


def test_a_data_directory_that_cannot_be_made_is_a_typed_error(unprivileged: Path) -> None:
    (unprivileged / "data").mkdir()
    step_down(unprivileged)
    with pytest.raises(StorageReadOnly, match="cannot open the data directory"):
        Registry.open(unprivileged / "data" / "new")


@pytest.mark.survival("G3")
def test_a_read_only_data_directory_is_a_typed_error(unprivileged: Path) -> None:
    registry = Registry.open(unprivileged / "data")
    publish(registry)
    registry.close()
    step_down(unprivileged)
    with pytest.raises(StorageReadOnly):
        Registry.open(unprivileged / "data")


def test_a_file_in_place_of_the_data_directory_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a directory")
    with pytest.raises(StorageError, match="cannot open the data directory"):
        Registry.open(tmp_path / "data")


@pytest.mark.survival("G7")
def test_an_index_of_another_release_is_refused(tmp_path: Path) -> None:
    Registry.open(tmp_path).close()
    with sqlite3.connect(tmp_path / "adapterd.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute("DELETE FROM schema_compatibility")
    connection.close()
    with pytest.raises(WrongSchema, match="schema 9999, which is newer than this release reads"):
        Registry.open(tmp_path)


def test_an_index_that_is_no_database_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "adapterd.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StorageError, match="not a database"):
        Registry.open(tmp_path)


@pytest.mark.survival("G4")
def test_an_edited_manifest_is_never_served(tmp_path: Path) -> None:
    registry = Registry.open(tmp_path)
    publish(registry)
    with sqlite3.connect(tmp_path / "adapterd.db") as connection:
        connection.execute(
            """UPDATE version SET manifest = replace(manifest, '"rank":2', '"rank":3')"""
        )
    connection.close()
    with pytest.raises(StorageError, match="its manifest has"):
        registry.resolve("acme", "mail")
    registry.close()


@pytest.mark.survival("G2")
def test_the_database_syncs_every_commit_and_checks_its_references(embedded: Registry) -> None:
    with embedded.state.database.read() as connection:
        settings = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert settings == ["wal", 2, 1]


@pytest.mark.survival("G6")
def test_a_writer_that_waits_too_long_is_told_to_try_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters_registry.storage.database_engines._BUSY_S", 0.05)
    registry = Registry.open(tmp_path)
    first = publish(registry, value=1)
    other = sqlite3.connect(tmp_path / "adapterd.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageBusy):
        publish(registry, value=2)
    assert registry.resolve("acme", "mail") == first
    other.close()
    registry.close()


@pytest.mark.survival("A21", "G4")
def test_a_stored_file_that_was_cut_is_never_handed_out(embedded: Registry) -> None:
    version = publish(embedded)
    _, path, _ = embedded.files(version)[0]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BlobCorrupt, match="its manifest records"):
        embedded.files(version)


@pytest.mark.survival("G4")
def test_a_stored_file_that_is_gone_is_a_typed_error(embedded: Registry) -> None:
    version = publish(embedded)
    _, path, _ = embedded.files(version)[0]
    path.unlink()
    with pytest.raises(BlobMissing):
        embedded.files(version)


@pytest.mark.survival("G4")
def test_publishing_the_same_content_again_heals_a_rotten_file(embedded: Registry) -> None:
    version = publish(embedded, value=1)
    _, path, _ = embedded.files(version)[0]
    good = path.read_bytes()
    path.write_bytes(bytes(len(good)))
    assert publish(embedded, value=1) == version
    _, path, _ = embedded.files(version)[0]
    assert path.read_bytes() == good
    assert is_tidy(embedded)
