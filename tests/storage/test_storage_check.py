"""`StorageCheck` finds every way in which rows and bytes can be out of step, and mends it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from adapters_registry.storage import blob_table, schema
from adapters_registry.storage.backup.place import BackupPlace
from adapters_registry.storage.blob_table import BlobState
from adapters_registry.storage.repair.finding import Fault, Finding
from adapters_registry.storage.repair.storage_check import StorageCheck
from server.upkeep.storage import REFERENCES
from tests.registry.build import publish
from tests.storage.conftest import Place
from tests.storage.test_backup import back_up, contents, restore
from tests.storage.test_examination import object_of, put, replace_object, state_of

HOUR = 3600.0


def check(
    place: Place, *, repair: bool = False, reads: bool = True, backup: Path | None = None
) -> list[Finding]:
    source = BackupPlace(str(backup)) if backup else None
    collector = place.collector(orphan_age_s=HOUR)
    made = StorageCheck(place.database, place.blobs, REFERENCES, collector, source)
    return list(made.run(repair=repair, reads=reads))


def faults(findings: list[Finding]) -> list[Fault]:
    return [finding.fault for finding in findings]


def hurt(place: Place, how: str, folder: Path) -> str:
    """The sha256 of a file of production that was hurt so."""
    file = place.registry.resolve("acme", "mail").manifest.files[0]
    if how == "missing":
        place.blobs.store.delete(object_of(place, file.sha256))
    elif how == "short":
        replace_object(place, file.sha256, b"x", folder)
    elif how == "reference_without_blob":
        with place.database.write() as db:
            row = blob_table.find(db, file.sha256)
            assert row is not None
            blob_table.remove(db, row)
        place.blobs.store.delete(row.object)
    else:
        replace_object(place, file.sha256, bytes(file.size), folder)
    return file.sha256


def forget_copies(place: Place) -> None:
    """This machine has none, as another that never served the version."""
    if place.blobs.cache is not None:
        for file in place.registry.resolve("acme", "mail").manifest.files:
            place.blobs.cache.drop(file.sha256)


each_hurt = pytest.mark.parametrize(
    "how", ["missing", "short", "corrupt", "reference_without_blob"]
)


@pytest.mark.survival("G9")
def test_what_is_in_step_has_no_finding(place: Place) -> None:
    publish(place.registry)
    assert check(place) == []


@pytest.mark.survival("G9", "G4")
@each_hurt
def test_each_fault_is_found_with_who_is_hurt(place: Place, tmp_path: Path, how: str) -> None:
    publish(place.registry)
    sha256 = hurt(place, how, tmp_path)
    [finding] = check(place)
    assert (finding.fault, finding.sha256, finding.mended) == (how, sha256, "")
    assert finding.owners == ("version_file, tenant acme, task mail, number 1, role adapter",)
    assert not finding.is_harmless


@pytest.mark.survival("G9", "G4")
@each_hurt
def test_each_fault_is_mended_from_a_backup(place: Place, tmp_path: Path, how: str) -> None:
    publish(place.registry)
    back_up(place, tmp_path / "backup")
    expected = contents(place.registry)
    hurt(place, how, tmp_path)
    forget_copies(place)
    [finding] = check(place, repair=True, backup=tmp_path / "backup")
    assert finding.mended == "restored from the backup"
    assert check(place) == []
    assert contents(place.registry) == expected


@pytest.mark.survival("G4")
def test_bytes_come_from_the_cache_of_this_machine_where_it_has_them(
    shared: Place, tmp_path: Path
) -> None:
    version = publish(shared.registry)
    shared.registry.files(version)
    hurt(shared, "corrupt", tmp_path)
    [finding] = check(shared, repair=True)
    assert finding.mended == "restored from a copy on this machine"


@pytest.mark.survival("G4")
def test_what_cannot_be_mended_is_in_quarantine_and_stays_a_finding(
    place: Place, tmp_path: Path
) -> None:
    publish(place.registry)
    sha256 = hurt(place, "corrupt", tmp_path)
    [finding] = check(place, repair=True)
    assert (finding.fault, finding.mended) == (Fault.CORRUPT, "")
    assert state_of(place, sha256) == BlobState.QUARANTINED
    assert faults(check(place)) == [Fault.QUARANTINED]


@pytest.mark.survival("G9")
def test_yesterdays_rows_find_their_bytes_in_todays_objects(place: Place, tmp_path: Path) -> None:
    """Since the backup, the content was deleted, collected and stored anew."""
    publish(place.registry, value=1)
    back_up(place, tmp_path / "backup")
    expected = contents(place.registry)
    place.registry.delete_task("acme", "mail")
    place.collector().run(0)
    publish(place.registry, value=1)
    restore(place.state, tmp_path / "backup", replace=True)
    row = object_of(place, place.registry.resolve("acme", "mail").manifest.files[0].sha256)
    place.blobs.store.delete(row)
    forget_copies(place)
    [finding] = check(place, repair=True)
    assert finding.mended == "restored from another object of the store"
    assert contents(place.registry) == expected


@pytest.mark.survival("G9")
def test_a_broken_blob_that_nothing_needs_is_deleted(place: Place, tmp_path: Path) -> None:
    blob = put(place, tmp_path)
    replace_object(place, blob.sha256, b"wrong", tmp_path)
    [finding] = check(place, repair=True)
    assert finding.is_harmless
    assert finding.mended == "deleted, as nothing needs it"
    assert check(place) == []


@pytest.mark.survival("G9")
def test_half_deleted_blobs_and_old_orphans_are_finished(embedded: Place, tmp_path: Path) -> None:
    blob = put(embedded, tmp_path)
    with embedded.database.write() as db:
        row = blob_table.find(db, blob.sha256)
        assert row is not None
        blob_table.change(db, row, state=BlobState.DELETING)
    root = embedded.blobs.store.directory
    assert root is not None
    (root / "sha256" / "orphan").write_bytes(b"12")
    os.utime(root / "sha256" / "orphan", (0, 0))
    found = check(embedded)
    assert faults(found) == [Fault.LEFTOVER, Fault.ORPHAN]
    assert all(finding.is_harmless for finding in found)
    assert all(finding.mended for finding in check(embedded, repair=True))
    assert list(embedded.blobs.store.list()) == []


@pytest.mark.survival("G7")
def test_an_older_schema_is_found_and_upgraded(place: Place) -> None:
    publish(place.registry)
    schema.downgrade(place.database.engine, "0001")
    assert faults(check(place)) == [Fault.SCHEMA]
    assert check(place, repair=True)[0].mended == f"upgraded to {schema.head()}"


def test_without_reading_contents_only_sizes_are_compared(place: Place, tmp_path: Path) -> None:
    publish(place.registry)
    hurt(place, "corrupt", tmp_path)
    assert check(place, reads=False) == []
    assert faults(check(place)) == [Fault.CORRUPT]


def test_what_a_hold_keeps_is_not_said_to_be_deleted(embedded: Place, tmp_path: Path) -> None:
    publish(embedded.registry)
    sha256 = hurt(embedded, "corrupt", tmp_path)
    embedded.registry.delete_task("acme", "mail")
    with embedded.database.write() as db:
        blob_table.put_hold(db, "b", "a backup is being made", embedded.clock.now + 60)
    [finding] = check(embedded, repair=True)
    assert finding.mended == ""
    assert "stays for now: a backup is being made" in finding.detail
    with embedded.database.write() as db:
        blob_table.remove_hold(db, "b", embedded.clock.now)
    [finding] = check(embedded, repair=True)
    assert (finding.sha256, finding.mended) == (sha256, "deleted, as nothing needs it")
