"""Blobs in use, over a directory and over a bucket: kept by who refers to them, and read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters_registry.errors import (
    BlobCorrupt,
    BlobMissing,
    ObjectExists,
    StorageError,
    StorageUnavailable,
)
from adapters_registry.storage import blob_table
from adapters_registry.storage.blob_table import BlobState
from adapters_registry.storage.blobs import Blob, Blobs
from tests.services.place import Place
from tests.storage.toy_blob import (
    BLOB,
    CONTENT,
    SHA256,
    change_row,
    find_row,
    replace_object,
)

# ------------------------------------------------------------ keep


def test_what_is_stored_is_kept_and_what_is_not_is_not(blobs: Blobs, source: Path) -> None:
    other = Blob(sha256="0" * 64, size=1)
    blobs.put(source)
    assert blobs.keep([BLOB])
    assert blobs.keep([])
    assert blobs.keep([BLOB, BLOB])
    assert not blobs.keep([BLOB, other])


@pytest.mark.parametrize("now", [BlobState.DELETING, BlobState.QUARANTINED])
def test_what_cannot_be_read_is_not_kept(blobs: Blobs, source: Path, now: BlobState) -> None:
    blobs.put(source)
    change_row(blobs, state=now)
    assert not blobs.keep([BLOB])


@pytest.mark.survival("G8")
def test_what_is_kept_is_marked_no_more(blobs: Blobs, source: Path) -> None:
    blobs.put(source)
    change_row(blobs, marked_at=1.0)
    marked = find_row(blobs)
    assert blobs.keep([BLOB])
    assert find_row(blobs).marked_at is None
    with blobs.database.write() as db:
        assert not blob_table.remove(db, marked)


def test_a_mark_stays_where_the_transaction_that_would_keep_it_fails(
    blobs: Blobs, source: Path
) -> None:
    blobs.put(source)
    change_row(blobs, marked_at=1.0)

    def keep_and_fail() -> None:
        with blobs.database.write():
            assert blobs.keep([BLOB])
            raise LookupError

    with pytest.raises(LookupError):
        keep_and_fail()
    assert find_row(blobs).marked_at == 1.0


@pytest.mark.survival("G8")
def test_what_is_kept_is_not_collected_before_the_transaction_ends(
    shared_place: Place, source: Path
) -> None:
    state = shared_place.open()
    state.blobs.put(source)
    seen, order = find_row(state.blobs), list[str]()

    def collect() -> None:
        with state.database.write() as db:
            blob_table.hold(db, [SHA256])
            order.append("collector")

    with ThreadPoolExecutor(1) as pool:
        with state.database.write():
            assert state.blobs.keep([BLOB])
            collector = pool.submit(collect)
            with pytest.raises(TimeoutError):
                collector.result(timeout=0.05)
            order.append("publisher")
        collector.result()
    assert order == ["publisher", "collector"]
    assert find_row(state.blobs) == seen
    state.close()


# ------------------------------------------------------------ path and get


def test_what_was_never_stored_is_missing(blobs: Blobs) -> None:
    with pytest.raises(BlobMissing):
        blobs.path(SHA256, len(CONTENT))
    with pytest.raises(BlobMissing):
        blobs.get(SHA256)


@pytest.mark.parametrize(
    ("now", "error"), [(BlobState.DELETING, BlobMissing), (BlobState.QUARANTINED, BlobCorrupt)]
)
def test_what_is_being_deleted_or_in_quarantine_is_not_handed_out(
    blobs: Blobs, source: Path, now: BlobState, error: type[StorageError]
) -> None:
    blobs.put(source)
    change_row(blobs, state=now)
    with pytest.raises(error):
        blobs.path(SHA256, len(CONTENT))
    with pytest.raises(error):
        blobs.get(SHA256)


@pytest.mark.survival("A21", "G4")
def test_wrong_bytes_are_never_read(blobs: Blobs, source: Path, tmp_path: Path) -> None:
    blobs.put(source)
    replace_object(blobs, tmp_path, b"nothing")
    with pytest.raises(BlobCorrupt):
        blobs.get(SHA256)


@pytest.mark.survival("G5")
def test_a_bucket_that_cannot_be_reached_is_unavailable_and_what_is_on_this_machine_is_read(
    shared_place: Place, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = shared_place.open()
    state.blobs.put(source)
    other = tmp_path / "other"
    other.write_bytes(b"other")
    unread = state.blobs.put(other)
    state.blobs.path(SHA256, len(CONTENT))

    def fail(*_: object) -> None:
        raise StorageUnavailable

    for name in ("put", "fetch", "size"):
        monkeypatch.setattr(state.blobs.store, name, fail)
    assert state.blobs.get(SHA256) == CONTENT
    with pytest.raises(StorageUnavailable):
        state.blobs.get(unread.sha256)
    with pytest.raises(StorageUnavailable):
        state.blobs.put(source)
    state.close()


def test_an_object_that_is_replaced_while_it_is_fetched_is_fetched_again(
    shared_place: Place, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = shared_place.open()
    state.blobs.put(source)
    fetch = state.blobs.store.fetch

    def fetch_late(name: str, target: Path) -> None:
        monkeypatch.setattr(state.blobs.store, "fetch", fetch)
        state.blobs.store.delete(name)
        state.blobs.put(source)
        fetch(name, target)

    monkeypatch.setattr(state.blobs.store, "fetch", fetch_late)
    assert state.blobs.get(SHA256) == CONTENT
    state.close()


def test_a_put_whose_answer_was_lost_finds_what_it_stored(
    blobs: Blobs, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = blobs.store.put

    def put_twice(name: str, copy: Path) -> None:
        put(name, copy)
        raise ObjectExists

    monkeypatch.setattr(blobs.store, "put", put_twice)
    assert blobs.put(source) == BLOB
    assert blobs.get(SHA256) == CONTENT


def test_a_put_whose_row_cannot_be_written_leaves_no_row(
    blobs: Blobs, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StorageUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(blob_table, "put", fail)
        with pytest.raises(StorageUnavailable):
            blobs.put(source)
    with pytest.raises(BlobMissing):
        blobs.get(SHA256)
    blobs.put(source)
    assert blobs.get(SHA256) == CONTENT
