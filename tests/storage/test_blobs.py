"""What blobs promise, over a directory and over a bucket: stored once, mended, and saved."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters_registry.errors import (
    BadFileName,
    BlobCorrupt,
    BlobMissing,
    MissingFile,
)
from adapters_registry.storage import blob_table
from adapters_registry.storage.blob_table import BlobState
from adapters_registry.storage.blobs import Blobs
from adapters_registry.storage.object_store import ObjectStore
from tests.services.place import Place
from tests.storage.toy_blob import (
    BLOB,
    CONTENT,
    SHA256,
    change_row,
    find_row,
    list_objects,
    replace_object,
)

# ------------------------------------------------------------ put


def test_what_was_put_is_read_by_its_sha256(blobs: Blobs, source: Path) -> None:
    assert blobs.put(source) == BLOB
    assert blobs.get(SHA256) == CONTENT
    assert blobs.path(SHA256, len(CONTENT)).read_bytes() == CONTENT


def test_an_object_is_named_for_its_content(blobs: Blobs, source: Path) -> None:
    blobs.put(source)
    [name] = list_objects(blobs)
    assert name == find_row(blobs).object
    assert name.startswith(f"sha256/{SHA256[:2]}/{SHA256}.")


def test_the_source_stays_as_it_is_and_can_change_afterwards(blobs: Blobs, source: Path) -> None:
    blobs.put(source)
    source.write_bytes(b"another")
    assert blobs.get(SHA256) == CONTENT


def test_the_same_content_again_is_stored_once(blobs: Blobs, source: Path) -> None:
    blobs.put(source)
    before = find_row(blobs)
    assert blobs.put(source) == BLOB
    assert find_row(blobs) == before
    assert list_objects(blobs) == [before.object]


def test_nothing_is_left_of_a_copy(blobs: Blobs, source: Path) -> None:
    blobs.put(source)
    blobs.put(source)
    assert list(blobs._incoming.iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "fifo", "folder", "nothing"])
def test_what_is_no_file_of_its_own_is_refused(blobs: Blobs, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "odd"
    if kind == "link":
        path.symlink_to("/etc/passwd")
    if kind == "fifo":
        os.mkfifo(path)
    if kind == "folder":
        path.mkdir()
    with pytest.raises(MissingFile if kind == "nothing" else BadFileName):
        blobs.put(path)
    assert list_objects(blobs) == []


@pytest.mark.survival("G4")
def test_a_put_mends_an_object_that_is_gone(blobs: Blobs, source: Path) -> None:
    blobs.put(source)
    blobs.store.delete(find_row(blobs).object)
    with pytest.raises(BlobMissing):
        blobs.path(SHA256, len(CONTENT))
    blobs.put(source)
    assert blobs.get(SHA256) == CONTENT
    assert list_objects(blobs) == [find_row(blobs).object]


@pytest.mark.survival("G4")
def test_a_put_mends_an_object_that_was_cut(blobs: Blobs, source: Path, tmp_path: Path) -> None:
    blobs.put(source)
    replace_object(blobs, tmp_path, CONTENT[:-1])
    blobs.put(source)
    assert blobs.get(SHA256) == CONTENT
    assert list_objects(blobs) == [find_row(blobs).object]


@pytest.mark.survival("G4")
def test_a_put_mends_an_object_whose_bytes_were_found_to_be_wrong(
    blobs: Blobs, source: Path, tmp_path: Path
) -> None:
    """In a bucket somebody has to have read them; of a directory's file the put itself does."""
    blobs.put(source)
    replace_object(blobs, tmp_path, b"nothing")
    with pytest.raises(BlobCorrupt):
        blobs.get(SHA256)
    blobs.put(source)
    assert blobs.get(SHA256) == CONTENT
    assert list_objects(blobs) == [find_row(blobs).object]


def test_a_put_ends_a_quarantine(blobs: Blobs, source: Path) -> None:
    blobs.put(source)
    change_row(blobs, state=BlobState.QUARANTINED)
    blobs.put(source)
    assert find_row(blobs).state == BlobState.READY
    assert blobs.get(SHA256) == CONTENT


def test_a_put_beside_a_collection_stores_the_content_anew(blobs: Blobs, source: Path) -> None:
    """The collector deletes the object that it saw, however late."""
    blobs.put(source)
    change_row(blobs, state=BlobState.DELETING)
    doomed = find_row(blobs)
    blobs.put(source)
    blobs.store.delete(doomed.object)
    with blobs.database.write() as db:
        assert not blob_table.remove(db, doomed)
    assert blobs.get(SHA256) == CONTENT


def test_a_put_saves_what_is_marked(blobs: Blobs, source: Path) -> None:
    blobs.put(source)
    change_row(blobs, marked_at=1.0)
    marked = find_row(blobs)
    blobs.put(source)
    assert find_row(blobs).marked_at is None
    assert find_row(blobs).object == marked.object
    with blobs.database.write() as db:  # whoever saw the mark does not act on it any more
        assert not blob_table.change(db, marked, state=BlobState.DELETING)


# ------------------------------------------------------------ many at once


def test_puts_of_one_content_at_once_leave_one_object(
    blobs: Blobs, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together_at_the_store(blobs.store, monkeypatch, num=4)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(blobs.put, [source] * 4)) == [BLOB] * 4
    assert blobs.get(SHA256) == CONTENT
    assert list_objects(blobs) == [find_row(blobs).object]


def test_puts_of_two_servers_at_once_leave_one_object(
    new_place: Callable[[], Place], source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = new_place()
    states = [place.open(name) for name in ("one", "two")]
    barrier = threading.Barrier(2)
    for each in states:
        together_at_the_store(each.blobs.store, monkeypatch, barrier=barrier)
    with ThreadPoolExecutor(2) as pool:
        puts = [pool.submit(each.blobs.put, source) for each in states]
        assert [put.result() for put in puts] == [BLOB, BLOB]
    assert [each.blobs.get(SHA256) for each in states] == [CONTENT, CONTENT]
    assert list_objects(states[0].blobs) == [find_row(states[1].blobs).object]
    for each in states:
        each.close()


def test_a_put_that_comes_second_leaves_the_object_that_may_be_in_use(
    blobs: Blobs, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, put = list[Path](), blobs.store.put

    def put_second(name: str, copy: Path) -> None:
        monkeypatch.setattr(blobs.store, "put", put)
        blobs.put(source)
        paths.append(blobs.path(SHA256, len(CONTENT)))
        put(name, copy)

    monkeypatch.setattr(blobs.store, "put", put_second)
    blobs.put(source)
    assert paths[0].read_bytes() == CONTENT
    assert list_objects(blobs) == [find_row(blobs).object]


def together_at_the_store(
    store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
    num: int = 2,
    barrier: threading.Barrier | None = None,
) -> None:
    """All have seen that the content is not there before any stores it."""
    put, barrier = store.put, barrier or threading.Barrier(num)

    def put_together(name: str, copy: Path) -> None:
        barrier.wait(10)
        put(name, copy)

    monkeypatch.setattr(store, "put", put_together)
