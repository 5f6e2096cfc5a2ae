"""What every store of objects does: a directory and a bucket are the same to who uses them."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

from adapters_registry.errors import BlobMissing, ObjectExists, OutOfFiles, StorageFull
from adapters_registry.storage import directory_store
from adapters_registry.storage.directory_store import DirectoryStore
from adapters_registry.storage.disk import Disk
from adapters_registry.storage.object_store import ObjectStore
from adapters_registry.storage.scratch import Scratch, sweep
from adapters_registry.storage.shared_state import SharedState
from tests.services.place import Place

NAME = "sha256/ab/abc.1"


@pytest.fixture
def store(state: SharedState) -> ObjectStore:
    return state.blobs.store


@pytest.fixture
def write(state: SharedState) -> Callable[[bytes], Path]:
    """Makes a file that may be stored: a directory takes it where it is."""

    def write_one(content: bytes) -> Path:
        folder = state.blobs._incoming
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"file{len(list(folder.iterdir()))}"
        path.write_bytes(content)
        return path

    return write_one


Write = Callable[[bytes], Path]


def fetch(store: ObjectStore, folder: Path, name: str = NAME) -> bytes:
    target = folder / f"fetched{len(list(folder.iterdir()))}"
    store.fetch(name, target)
    return target.read_bytes()


def test_what_is_put_is_fetched(store: ObjectStore, write: Write, tmp_path: Path) -> None:
    store.put(NAME, write(b"content"))
    assert fetch(store, tmp_path) == b"content"
    assert store.size(NAME) == 7


def test_an_empty_object_is_one_too(store: ObjectStore, write: Write, tmp_path: Path) -> None:
    store.put(NAME, write(b""))
    assert fetch(store, tmp_path) == b""
    assert store.size(NAME) == 0


def test_an_object_of_many_chunks_is_whole(
    store: ObjectStore, write: Write, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 20_000 * 3
    store.put(NAME, write(content))
    assert fetch(store, tmp_path) == content


def test_an_object_is_never_replaced(store: ObjectStore, write: Write, tmp_path: Path) -> None:
    store.put(NAME, write(b"first"))
    with pytest.raises(ObjectExists):
        store.put(NAME, write(b"second"))
    assert fetch(store, tmp_path) == b"first"


def test_of_puts_at_the_same_time_one_wins_and_is_whole(
    store: ObjectStore, write: Write, tmp_path: Path
) -> None:
    sources = [write(bytes([value]) * 100_000) for value in range(6)]
    contents = {source: source.read_bytes() for source in sources}
    barrier = threading.Barrier(len(sources))

    def put(source: Path) -> Path | None:
        barrier.wait()
        try:
            store.put(NAME, source)
        except ObjectExists:
            return None
        return source

    with ThreadPoolExecutor(len(sources)) as pool:
        [winner] = filter(None, pool.map(put, sources))
    assert fetch(store, tmp_path) == contents[winner]


def test_an_object_that_is_not_there_is_missing(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(BlobMissing):
        fetch(store, tmp_path)
    assert store.size(NAME) is None


def test_a_deleted_object_is_gone_and_deleting_it_again_is_fine(
    store: ObjectStore, write: Write
) -> None:
    store.put(NAME, write(b"content"))
    store.delete(NAME)
    store.delete(NAME)
    assert store.size(NAME) is None
    assert list(store.list()) == []


def test_all_objects_are_listed_with_what_is_known_of_them(
    store: ObjectStore, write: Write
) -> None:
    for number in range(5):
        store.put(f"sha256/a{number}/{number}.x", write(b"x" * number))
    listed = sorted(store.list(), key=lambda stored: stored.name)
    assert [(each.name, each.size) for each in listed] == [
        (f"sha256/a{number}/{number}.x", number) for number in range(5)
    ]
    assert all(each.modified_at > 1_600_000_000 for each in listed)


def test_the_test_at_the_start_leaves_nothing(store: ObjectStore) -> None:
    assert list(store.list()) == []


def test_a_file_that_cannot_be_read_is_not_taken_for_one_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DirectoryStore(tmp_path / "blobs", Disk())

    def fail(_: Path) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(directory_store, "open_regular", fail)
    with pytest.raises(OutOfFiles):
        store.fetch(NAME, tmp_path / "target")


@pytest.mark.survival("G3")
def test_a_disk_that_is_full_while_an_object_is_fetched_is_a_typed_error(
    shared_place: Place, tmp_path: Path
) -> None:
    class Full(Disk):
        is_full = False

        def append(self, file: BinaryIO, chunk: bytes) -> None:
            if self.is_full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            super().append(file, chunk)

    disk = Full()
    state = shared_place.open(disk=disk)
    source = tmp_path / "source"
    source.write_bytes(b"content")
    state.blobs.store.put(NAME, source)
    disk.is_full = True
    with pytest.raises(StorageFull):
        state.blobs.store.fetch(NAME, tmp_path / "target")
    assert not (tmp_path / "target").exists()
    state.close()


def test_a_mount_point_takes_files_from_within_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "mount"
    root.mkdir()
    link = os.link

    def refuse_across(source: Path, target: Path) -> None:
        if not (source.is_relative_to(root) and target.is_relative_to(root)):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        link(source, target)

    monkeypatch.setattr(os, "link", refuse_across)
    state = SharedState.open(tmp_path / "data", blobs_url=f"file://{root}")
    source = tmp_path / "source"
    source.write_bytes(b"content")
    with state.blobs.scratch() as folder:
        (folder / "unfinished").write_bytes(b"x")
        blob = state.blobs.put(source)
        assert [each.size for each in state.blobs.store.list()] == [7]
    assert state.blobs.get(blob.sha256) == b"content"
    state.close()


def test_what_is_locked_is_open_for_writing_as_nfs_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def as_nfs(descriptor: int, operation: int) -> None:
        mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        if operation & fcntl.LOCK_EX and mode == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        real(descriptor, operation)

    real = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", as_nfs)
    area = Scratch(tmp_path / "scratch", Disk())
    assert sweep(tmp_path / "scratch", Disk()) == []
    area.remove()
    assert list((tmp_path / "scratch").iterdir()) == []
