"""Wrong bytes are set aside, replaced where a good copy exists, and never handed out."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import pytest

from adapters_registry.errors import BlobCorrupt, BlobMissing
from adapters_registry.storage import blob_table
from adapters_registry.storage.blob_table import BlobState
from adapters_registry.storage.blobs import Blob
from adapters_registry.storage.examination import Condition
from adapters_registry.storage.host_cache import HostCache
from adapters_registry.values import Version
from tests.registry.build import publish
from tests.storage.conftest import Place


def put(place: Place, folder: Path, content: bytes = b"right") -> Blob:
    (folder / "source").write_bytes(content)
    return place.blobs.put(folder / "source")


def object_of(place: Place, sha256: str) -> str:
    with place.database.read() as db:
        row = blob_table.find(db, sha256)
    assert row is not None
    return row.object


def state_of(place: Place, sha256: str) -> str:
    with place.database.read() as db:
        row = blob_table.find(db, sha256)
    assert row is not None
    return row.state


def replace_object(place: Place, sha256: str, content: bytes, folder: Path) -> None:
    """As rot does, or somebody with access to the bucket."""
    name = object_of(place, sha256)
    place.blobs.store.delete(name)
    (folder / "wrong").write_bytes(content)
    place.blobs.store.put(name, folder / "wrong")


def cache_of(place: Place) -> HostCache:
    assert place.blobs.cache is not None
    return place.blobs.cache


@pytest.mark.survival("G4")
def test_wrong_bytes_are_set_aside_and_logged_and_never_served(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blob = put(place, tmp_path)
    replace_object(place, blob.sha256, b"wrong", tmp_path)
    for sentence in ("is corrupt", "is in quarantine"):
        with caplog.at_level(logging.ERROR), pytest.raises(BlobCorrupt, match=sentence):
            place.blobs.get(blob.sha256)
    assert state_of(place, blob.sha256) == BlobState.QUARANTINED
    assert [record.__dict__["action"] for record in caplog.records] == ["blob.quarantined"]


@pytest.mark.survival("G4")
def test_a_quarantine_is_counted_and_recorded_once(place: Place, tmp_path: Path) -> None:
    blob = put(place, tmp_path)
    recorded: list[tuple[str, str]] = []
    examination = place.blobs.examination
    examination.record_with(lambda row, actual: recorded.append((row.sha256, actual)))
    replace_object(place, blob.sha256, b"wrong", tmp_path)
    for _ in range(2):
        examination.examine(blob.sha256)
    assert recorded == [(blob.sha256, hashlib.sha256(b"wrong").hexdigest())]
    assert examination.num_quarantined == 1


@pytest.mark.survival("G4")
def test_the_same_bytes_put_again_end_the_quarantine(place: Place, tmp_path: Path) -> None:
    blob = put(place, tmp_path)
    replace_object(place, blob.sha256, b"wrong", tmp_path)
    assert not place.blobs.examine(blob.sha256)
    wrong = object_of(place, blob.sha256)
    assert put(place, tmp_path) == blob
    assert place.blobs.get(blob.sha256) == b"right"
    assert wrong not in {each.name for each in place.blobs.store.list()}


@pytest.mark.survival("G4")
def test_one_wrong_read_of_right_bytes_sets_nothing_aside(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = put(place, tmp_path)
    examination = place.blobs.examination
    real, reads = examination.hash_object, list[str]()

    def misread_once(name: str) -> str | None:
        reads.append(name)
        return hashlib.sha256(b"other").hexdigest() if len(reads) == 1 else real(name)

    monkeypatch.setattr(examination, "hash_object", misread_once)
    assert examination.examine(blob.sha256) == Condition.WHOLE
    assert len(reads) == 2
    assert state_of(place, blob.sha256) == BlobState.READY


@pytest.mark.survival("G4")
def test_a_wrong_copy_on_this_machine_is_fetched_again(shared: Place, tmp_path: Path) -> None:
    blob = put(shared, tmp_path)
    shared.blobs.path(blob.sha256, blob.size).write_bytes(b"wrong")
    assert shared.blobs.get(blob.sha256) == b"right"
    assert state_of(shared, blob.sha256) == BlobState.READY


@pytest.mark.survival("G4")
@pytest.mark.parametrize("wrong", [b"wrong", None], ids=["corrupt", "lost"])
def test_a_good_copy_on_this_machine_replaces_a_wrong_object(
    shared: Place, tmp_path: Path, wrong: bytes | None
) -> None:
    blob = put(shared, tmp_path)
    shared.blobs.path(blob.sha256, blob.size)
    if wrong is None:
        shared.blobs.store.delete(object_of(shared, blob.sha256))
    else:
        replace_object(shared, blob.sha256, wrong, tmp_path)
    assert shared.blobs.examine(blob.sha256)
    cache_of(shared).drop(blob.sha256)
    assert shared.blobs.get(blob.sha256) == b"right"
    assert state_of(shared, blob.sha256) == BlobState.READY


@pytest.mark.survival("G4")
def test_a_wrong_object_never_reaches_the_cache(shared: Place, tmp_path: Path) -> None:
    blob = put(shared, tmp_path)
    replace_object(shared, blob.sha256, b"wrong", tmp_path)
    with pytest.raises(BlobCorrupt):
        shared.blobs.path(blob.sha256, blob.size)
    assert cache_of(shared).find(blob.sha256) is None
    assert state_of(shared, blob.sha256) == BlobState.QUARANTINED


@pytest.mark.survival("G4", "A21")
def test_a_version_says_whether_its_files_can_be_read(place: Place, tmp_path: Path) -> None:
    version: Version = publish(place.registry)
    assert place.registry.examine(version)
    file = version.manifest.files[0]
    replace_object(place, file.sha256, bytes(file.size), tmp_path)
    assert not place.registry.examine(version)
    with pytest.raises(BlobCorrupt):
        place.registry.files(version)


def test_what_is_gone_is_missing_and_not_in_quarantine(place: Place, tmp_path: Path) -> None:
    blob = put(place, tmp_path)
    place.blobs.store.delete(object_of(place, blob.sha256))
    assert not place.blobs.examine(blob.sha256)
    assert state_of(place, blob.sha256) == BlobState.READY
    with pytest.raises(BlobMissing):
        place.blobs.get(blob.sha256)


@pytest.mark.survival("G4")
def test_quarantined_bytes_that_nothing_needs_are_collected(place: Place, tmp_path: Path) -> None:
    blob = put(place, tmp_path)
    replace_object(place, blob.sha256, b"wrong", tmp_path)
    place.blobs.examine(blob.sha256)
    assert place.collector().run(0).num_deleted == 1
    assert list(place.blobs.store.list()) == []
