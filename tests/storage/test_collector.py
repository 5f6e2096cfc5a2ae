"""Collection takes what nothing refers to, after its grace, and never anything else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from adapters_registry.storage import blob_table
from adapters_registry.storage.blob_table import BlobState
from adapters_registry.storage.blobs import Blob
from tests.registry.build import publish
from tests.storage.conftest import Place

HOUR = 3600.0


def put(place: Place, folder: Path, content: bytes = b"loose") -> Blob:
    source = folder / "source"
    source.write_bytes(content)
    return place.blobs.put(source)


def objects(place: Place) -> list[str]:
    return sorted(each.name for each in place.blobs.store.list())


def state_of(place: Place, blob: Blob) -> str | None:
    with place.database.read() as db:
        row = blob_table.find(db, blob.sha256)
    return None if row is None else row.state


@pytest.mark.survival("G8")
def test_what_nothing_refers_to_goes_after_its_grace(place: Place, tmp_path: Path) -> None:
    blob = put(place, tmp_path)
    first = place.collector().run(HOUR)
    assert (first.num_marked, first.marked_bytes, first.num_deleted) == (1, 5, 0)
    place.clock.now += HOUR - 1
    assert place.collector().run(HOUR).num_deleted == 0
    place.clock.now += 1
    last = place.collector().run(HOUR)
    assert (last.num_deleted, last.deleted_bytes) == (1, 5)
    assert state_of(place, blob) is None
    assert objects(place) == []


@pytest.mark.survival("G8")
def test_what_a_version_names_is_never_marked(place: Place) -> None:
    version = publish(place.registry)
    before = objects(place)
    place.collector().run(0)
    place.collector().run(0)
    assert objects(place) == before
    assert all(path.is_file() for _, path, _ in place.registry.files(version))


@pytest.mark.survival("G8")
def test_an_upload_of_the_same_bytes_revives_what_was_marked(place: Place, tmp_path: Path) -> None:
    blob = put(place, tmp_path)
    place.collector().run(HOUR)
    place.clock.now += HOUR
    assert put(place, tmp_path) == blob
    assert place.collector().run(HOUR).num_deleted == 0
    assert state_of(place, blob) == BlobState.READY


@pytest.mark.survival("G8")
def test_a_version_revives_what_was_marked_and_its_grace_begins_anew(place: Place) -> None:
    first = publish(place.registry, value=1)
    publish(place.registry, value=2, promote=True)
    place.registry.delete_version("acme", "mail", first.number)
    place.collector().run(HOUR)
    place.clock.now += 2 * HOUR
    again = publish(place.registry, value=1)
    place.registry.delete_version("acme", "mail", again.number)
    assert place.collector().run(HOUR).num_deleted == 0
    place.clock.now += 2 * HOUR
    assert place.collector().run(HOUR).num_deleted == 1


@pytest.mark.survival("G1")
def test_the_next_run_finishes_what_a_dead_collector_began(place: Place, tmp_path: Path) -> None:
    gone, left = put(place, tmp_path, b"gone"), put(place, tmp_path, b"left")
    with place.database.write() as db:
        for blob in (gone, left):
            row = blob_table.find(db, blob.sha256)
            assert row is not None
            blob_table.change(db, row, state=BlobState.DELETING)
    place.blobs.store.delete(objects(place)[0])
    assert place.collector().run(HOUR).num_deleted == 2
    assert objects(place) == []
    assert (state_of(place, gone), state_of(place, left)) == (None, None)


@pytest.mark.survival("G1")
def test_an_object_that_no_row_names_is_swept_once_it_is_old(
    embedded: Place, tmp_path: Path
) -> None:
    put(embedded, tmp_path, b"kept")
    root = embedded.blobs.store.directory
    assert root is not None
    for name, age in (("old", 2 * HOUR), ("young", 60.0)):
        orphan = root / "sha256" / name
        orphan.write_bytes(b"1234")
        stamp = embedded.blobs.store.now() - age
        os.utime(orphan, (stamp, stamp))
    (root / "notes.txt").write_bytes(b"somebody else's")
    os.utime(root / "notes.txt", (0, 0))
    found = embedded.collector(orphan_age_s=HOUR).run(10)
    assert (found.num_orphans, found.orphan_bytes) == (1, 4)
    assert {"sha256/young", "notes.txt"} < set(objects(embedded))
    assert len(objects(embedded)) == 3


def test_orphans_are_told_from_blobs_in_a_bucket_too(shared: Place, tmp_path: Path) -> None:
    put(shared, tmp_path, b"kept")
    (tmp_path / "orphan").write_bytes(b"1234")
    shared.blobs.store.put("sha256/00/orphan", tmp_path / "orphan")
    assert shared.collector(orphan_age_s=HOUR).run(0).num_orphans == 0
    assert shared.collector(orphan_age_s=-5).run(-5).num_orphans == 1


@pytest.mark.survival("G8")
def test_nothing_is_deleted_while_a_backup_holds_it(place: Place, tmp_path: Path) -> None:
    put(place, tmp_path)
    place.collector().run(HOUR)
    place.clock.now += HOUR
    with place.database.write() as db:
        blob_table.put_hold(db, "one", "a backup", place.clock.now + 60)
    found = place.collector().run(HOUR)
    assert (found.num_deleted, found.held_by) == (0, "a backup")
    place.clock.now += 61  # its owner died
    assert place.collector().run(HOUR).num_deleted == 1


def test_a_preview_says_what_the_run_then_does(place: Place, tmp_path: Path) -> None:
    publish(place.registry)
    put(place, tmp_path, b"first")
    place.collector().run(HOUR)
    place.clock.now += HOUR
    put(place, tmp_path, b"the second")
    before = objects(place)
    preview = place.collector(orphan_age_s=HOUR).preview(HOUR)
    assert objects(place) == before
    assert sorted(preview.kept_by_tenant) == ["acme"]
    run = place.collector(orphan_age_s=HOUR).run(HOUR)
    assert (preview.num_deleted, preview.deleted_bytes) == (1, 5)
    assert (run.num_deleted, run.deleted_bytes) == (1, 5)
    assert preview.num_marked == run.num_marked == 1
    assert place.collector(orphan_age_s=HOUR).preview(0).num_deleted == 1


def test_only_what_was_asked_for_is_collected_at_once(place: Place, tmp_path: Path) -> None:
    wanted, other = put(place, tmp_path, b"wanted"), put(place, tmp_path, b"other")
    assert place.collector().run(0, only=[wanted.sha256]).num_deleted == 1
    assert (state_of(place, wanted), state_of(place, other)) == (None, BlobState.READY)
