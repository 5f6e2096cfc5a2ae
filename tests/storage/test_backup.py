"""A backup is whole or none, and comes back into any storage."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from adapters_registry.audit.audit_event import Change
from adapters_registry.errors import BackupUnusable, BlobCorrupt, NotEmpty, WrongSchema
from adapters_registry.registry import Registry
from adapters_registry.storage import blob_table, schema
from adapters_registry.storage.backup import table_rows
from adapters_registry.storage.backup.backup import Backup
from adapters_registry.storage.backup.place import BackupPlace, Manifest
from adapters_registry.storage.backup.restore import Restore
from adapters_registry.storage.database import Database
from adapters_registry.storage.shared_state import SharedState
from server.auth.shared_secret import shared_secret
from server.upkeep.storage import REFERENCES
from tests.registry.build import publish
from tests.storage.conftest import Clock, Place
from tests.storage.test_examination import object_of, replace_object


def back_up(place: Place, folder: Path) -> Manifest:
    return Backup(place.database, place.blobs, REFERENCES, BackupPlace(str(folder))).run()


def restore(state: SharedState, folder: Path, *, replace: bool = False) -> Registry:
    Restore(state.database, state.blobs, BackupPlace(str(folder))).run(replace=replace)
    return Registry(state)


def rows_of(database: Database) -> dict[str, list[bytes]]:
    with database.read() as db:
        return {
            table.name: list(table_rows.dump(db, table))
            for table in table_rows.reflect(db)
            if table.name != "blob"
        }


def contents(registry: Registry, ref: str = "mail") -> list[bytes]:
    files = registry.files(registry.resolve("acme", ref))
    return [path.read_bytes() for _, path, _ in files]


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[SharedState]:
    state = SharedState.attach(tmp_path / "empty", clock=Clock(), creates=True)
    yield state
    state.close()


@pytest.mark.survival("G9")
def test_a_backup_of_either_storage_comes_back_into_sqlite(
    place: Place, empty: SharedState, tmp_path: Path
) -> None:
    publish(place.registry, value=1)
    publish(place.registry, value=2, promote=True, beside={"report": b"{}"})
    back_up(place, tmp_path / "backup")
    registry = restore(empty, tmp_path / "backup")
    assert rows_of(empty.database) == rows_of(place.database)
    for ref in ("mail@1", "mail@2"):
        assert contents(registry, ref) == contents(place.registry, ref)
    assert registry.beside(registry.resolve("acme", "mail"), "report") == b"{}"
    assert publish(registry, value=3).number == 3


@pytest.mark.survival("G9")
def test_a_backup_of_sqlite_comes_back_into_postgresql_and_a_bucket(
    embedded: Place, shared: Place, tmp_path: Path
) -> None:
    other = SharedState.open(tmp_path / "sqlite")
    registry = Registry(other)
    publish(registry, value=1)
    place = BackupPlace(str(tmp_path / "backup"))
    Backup(other.database, other.blobs, REFERENCES, place).run()
    restored = restore(shared.state, tmp_path / "backup")
    assert rows_of(shared.database) == rows_of(other.database)
    assert contents(restored) == contents(registry)
    assert publish(restored, value=2).number == 2
    other.close()


def test_a_backup_into_a_bucket_comes_back(
    shared: Place, empty: SharedState, bucket_url: str
) -> None:
    publish(shared.registry)
    location = f"{bucket_url}-backups"
    Backup(shared.database, shared.blobs, REFERENCES, BackupPlace(location)).run()
    Restore(empty.database, empty.blobs, BackupPlace(location)).run()
    assert contents(Registry(empty)) == contents(shared.registry)


def test_a_second_backup_copies_only_what_is_new(
    embedded: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(embedded.registry, value=1)
    back_up(embedded, tmp_path / "backup")
    publish(embedded.registry, value=2)
    copied = list[str]()
    real = embedded.blobs.fetch

    def noting(sha256: str, target: Path) -> None:
        copied.append(sha256)
        real(sha256, target)

    monkeypatch.setattr(embedded.blobs, "fetch", noting)
    assert back_up(embedded, tmp_path / "backup").num_blobs == 3
    assert len(copied) == 1  # both versions have the same configuration
    assert len(BackupPlace(str(tmp_path / "backup")).list_backups()) == 2


@pytest.mark.survival("G9")
def test_a_backup_without_its_manifest_is_none(
    embedded: Place, empty: SharedState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(embedded.registry)

    class KilledError(Exception):
        pass

    def die(*_: object) -> None:
        raise KilledError

    monkeypatch.setattr(BackupPlace, "put_manifest", die)
    with pytest.raises(KilledError):
        back_up(embedded, tmp_path / "backup")
    with pytest.raises(BackupUnusable, match="no whole backup"):
        restore(empty, tmp_path / "backup")


@pytest.mark.survival("G9")
@pytest.mark.parametrize("what", ["backups/*/rows", "backups"])
def test_a_backup_with_one_changed_byte_is_refused_and_nothing_is_restored(
    embedded: Place, empty: SharedState, tmp_path: Path, what: str
) -> None:
    publish(embedded.registry)
    back_up(embedded, tmp_path / "backup")
    files = [path for path in (tmp_path / "backup").glob(f"{what}/**/*") if path.is_file()]
    victim = max(files, key=lambda path: (path.name.startswith("manifest"), path.stat().st_size))
    victim.write_bytes(victim.read_bytes().replace(b"a", b"b", 1) + b" ")
    with pytest.raises(BackupUnusable, match="is corrupt"):
        restore(empty, tmp_path / "backup")
    assert schema.current(empty.database.engine) is None


@pytest.mark.survival("G9")
def test_what_is_there_is_replaced_only_if_asked_for(place: Place, tmp_path: Path) -> None:
    publish(place.registry, value=1)
    back_up(place, tmp_path / "backup")
    publish(place.registry, value=2, promote=True)
    with pytest.raises(NotEmpty, match="pass --replace"):
        restore(place.state, tmp_path / "backup")
    assert place.registry.resolve("acme", "mail").number == 2
    registry = restore(place.state, tmp_path / "backup", replace=True)
    assert [version.number for version in registry.versions("acme", "mail")] == [1]


@pytest.mark.survival("G9")
def test_a_restore_that_died_changed_no_row_and_is_run_again(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(place.registry, value=1)
    back_up(place, tmp_path / "backup")
    publish(place.registry, value=2, promote=True)
    before = rows_of(place.database)

    def die(*_: object) -> int:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(table_rows, "load", die)
        with pytest.raises(RuntimeError):
            restore(place.state, tmp_path / "backup", replace=True)
    assert rows_of(place.database) == before
    assert contents(restore(place.state, tmp_path / "backup", replace=True))


@pytest.mark.survival("G8", "G9")
def test_versions_deleted_while_a_backup_runs_are_in_it_whole(
    embedded: Place, empty: SharedState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish(embedded.registry, value=1)
    publish(embedded.registry, value=2, promote=True)
    real = BackupPlace.sizes

    def delete_first(place: BackupPlace) -> dict[str, int]:
        """Between the rows and the blobs of the backup."""
        embedded.registry.delete_version("acme", "mail", first.number)
        for _ in range(2):
            assert embedded.collector().run(0).num_deleted == 0
        return real(place)

    monkeypatch.setattr(BackupPlace, "sizes", delete_first)
    back_up(embedded, tmp_path / "backup")
    registry = restore(empty, tmp_path / "backup")
    assert contents(registry, "mail@1")
    assert embedded.collector().run(0).num_deleted == 1


def test_a_backup_names_what_was_lost_before_it(
    place: Place, empty: SharedState, tmp_path: Path
) -> None:
    version = publish(place.registry)
    file = version.manifest.files[0]
    replace_object(place, file.sha256, bytes(file.size), tmp_path)
    assert back_up(place, tmp_path / "backup").lost == [file.sha256]
    registry = restore(empty, tmp_path / "backup")
    with pytest.raises(BlobCorrupt, match="quarantine"):
        registry.files(registry.resolve("acme", "mail"))
    assert publish(registry) == registry.resolve("acme", "mail")
    assert contents(registry)


@pytest.mark.survival("G7", "G9")
def test_a_backup_of_an_older_schema_is_upgraded(
    embedded: Place, empty: SharedState, tmp_path: Path
) -> None:
    publish(embedded.registry)
    schema.downgrade(embedded.database.engine, "0003")
    place = BackupPlace(str(tmp_path / "backup"))
    backup = Backup(embedded.database, embedded.blobs, REFERENCES, place)
    embedded_tables = backup._copy_rows()
    assert embedded_tables[0] == "0003"
    place.put_manifest(
        Manifest(
            id=backup._id, created_at=0, revision="0003", tables=embedded_tables[1], lost=[],
            num_blobs=0, num_bytes=0,
        )
    )  # fmt: skip
    schema.upgrade(embedded.database.engine)
    back_up(embedded, tmp_path / "blobs")
    (tmp_path / "blobs" / "blobs").rename(tmp_path / "backup" / "blobs")
    assert contents(restore(empty, tmp_path / "backup"))
    assert schema.current(empty.database.engine) == schema.head()


@pytest.mark.survival("G7", "G9")
def test_a_backup_of_a_newer_release_is_refused(
    embedded: Place, empty: SharedState, tmp_path: Path
) -> None:
    place = BackupPlace(str(tmp_path / "backup"))
    place.put_manifest(
        Manifest(
            id="x", created_at=0, revision="9999", tables={}, lost=[], num_blobs=0, num_bytes=0
        )
    )
    with pytest.raises(WrongSchema, match="newer than this release reads"):
        restore(empty, tmp_path / "backup")


@pytest.mark.survival("G9")
def test_yesterdays_rows_beside_todays_bytes_serve_what_they_name(
    place: Place, tmp_path: Path
) -> None:
    first = publish(place.registry, value=1)
    back_up(place, tmp_path / "backup")
    second = publish(place.registry, value=2, promote=True)
    registry = restore(place.state, tmp_path / "backup", replace=True)
    assert registry.resolve("acme", "mail") == first
    assert contents(registry)
    # today's version came after the backup: its bytes are orphans, and its number is given again
    assert publish(registry, value=2).digest == second.digest
    with place.database.read() as db:
        assert blob_table.find(db, second.manifest.files[0].sha256) is not None
    assert object_of(place, second.manifest.files[0].sha256)


def rot(folder: Path, sha256: str) -> Path:
    """Of the same size, as a disk does."""
    blob = folder / "blobs" / sha256[:2] / sha256
    blob.write_bytes(bytes(blob.stat().st_size))
    return blob


@pytest.mark.survival("G4", "G9")
def test_a_rotten_object_of_a_backup_hurts_only_who_needs_it(
    embedded: Place, empty: SharedState, tmp_path: Path
) -> None:
    publish(embedded.registry, value=1)
    second = publish(embedded.registry, value=2)
    adapter = next(file for file in second.manifest.files if file.role == "adapter")
    back_up(embedded, tmp_path / "backup")
    rot(tmp_path / "backup", adapter.sha256)
    work = Restore(empty.database, empty.blobs, BackupPlace(str(tmp_path / "backup")))
    work.run()
    assert list(work.damaged) == [adapter.sha256]
    assert "is corrupt" in work.damaged[adapter.sha256]
    registry = Registry(empty)
    assert contents(registry, "mail@1") == contents(embedded.registry, "mail@1")
    with pytest.raises(BlobCorrupt, match="quarantine"):
        contents(registry, "mail@2")


@pytest.mark.survival("G4", "G9")
def test_the_next_backup_replaces_a_rotten_object(
    embedded: Place, empty: SharedState, tmp_path: Path
) -> None:
    version = publish(embedded.registry)
    back_up(embedded, tmp_path / "backup")
    for file in version.manifest.files:
        rot(tmp_path / "backup", file.sha256)
    back_up(embedded, tmp_path / "backup")
    assert contents(restore(empty, tmp_path / "backup")) == contents(embedded.registry)


@pytest.mark.survival("G9")
def test_what_killed_backups_left_is_swept_by_the_next(
    embedded: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(embedded.registry)
    folder = tmp_path / "backup"
    back_up(embedded, folder)

    def die(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(BackupPlace, "put_manifest", die)
        with pytest.raises(RuntimeError):
            back_up(embedded, folder)
    half_written = folder / ".incoming" / "dead"
    half_written.mkdir()
    (half_written / "part").write_bytes(b"x")
    place = BackupPlace(str(folder))
    [whole] = {name.split("/")[1] for name in place.list_backups()}
    back_up(embedded, folder)  # maybe another database's is running: it is new
    dead = [path for path in folder.glob("backups/*") if len(list(path.glob("manifest*"))) == 0]
    assert len(dead) == 1
    assert list((folder / ".incoming").iterdir()) == []
    two_days_ago = time.time() - 2 * 86_400
    for path in (*dead[0].rglob("*.jsonl"), *(folder / "backups" / whole).rglob("*")):
        os.utime(path, (two_days_ago, two_days_ago))
    back_up(embedded, folder)
    assert list(dead[0].rglob("*.jsonl")) == []
    assert list((folder / "backups" / whole).rglob("*.jsonl"))


@pytest.mark.survival("G7", "G9")
def test_a_newer_schema_that_can_be_used_is_not_backed_up_without_its_rows(
    place: Place, tmp_path: Path
) -> None:
    publish(place.registry)
    with place.database.write() as db:
        db.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(WrongSchema, match="whose tables this release does not know"):
        back_up(place, tmp_path / "backup")
    assert BackupPlace(str(tmp_path / "backup")).list_backups() == []


def test_a_place_that_is_only_read_is_neither_made_nor_written(
    embedded: Place, empty: SharedState, tmp_path: Path
) -> None:
    with pytest.raises(BackupUnusable, match="there is no directory"):
        BackupPlace(str(tmp_path / "mistyped"), reads_only=True)
    assert not (tmp_path / "mistyped").exists()
    publish(embedded.registry)
    folder = tmp_path / "backup"
    back_up(embedded, folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    Restore(empty.database, empty.blobs, BackupPlace(str(folder), reads_only=True)).run()
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_bucket_that_is_only_read_gets_no_object(
    bucket_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the bucket was written to")

    monkeypatch.setattr("obstore.put", refuse)
    with pytest.raises(BackupUnusable, match="no whole backup"):
        BackupPlace(bucket_url, reads_only=True).read_manifest()


def test_a_database_that_only_operators_worked_on_counts_as_empty(
    embedded: Place, empty: SharedState, tmp_path: Path
) -> None:
    publish(embedded.registry)
    back_up(embedded, tmp_path / "backup")
    schema.upgrade(empty.database.engine)
    Registry(empty).audit.record(Change(tenant="", action="storage.migrate", target="0001"))
    assert contents(restore(empty, tmp_path / "backup"))


def test_no_secret_is_in_a_backup_and_another_one_is_drawn(place: Place, tmp_path: Path) -> None:
    secret = shared_secret(place.database, "link")
    back_up(place, tmp_path / "backup")
    files = [path for path in (tmp_path / "backup").rglob("*") if path.is_file()]
    assert all(secret.hex().encode() not in path.read_bytes() for path in files)
    restore(place.state, tmp_path / "backup", replace=True)
    assert shared_secret(place.database, "link") != secret


def test_a_backup_into_a_bucket_passes_through_a_folder_that_nobody_else_can_make(
    bucket_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "adapterd-backup").mkdir()  # another user's, before us
    with BackupPlace(bucket_url).scratch() as first, BackupPlace(bucket_url).scratch() as second:
        assert first.parent == second.parent == tmp_path
        assert first != second
        assert first.stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == ["adapterd-backup"]
