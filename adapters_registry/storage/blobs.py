"""Bytes by their sha256: objects in a store, and a row for each that says which object holds it.

An object's name is used once, so a delete that comes late can only meet what it meant. Bytes are
stored before the transaction that refers to them, which looks again whether they are still there.
Knows no version, no file and no job.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from adapters_registry.errors import (
    BlobCorrupt,
    BlobMissing,
    ObjectExists,
    StorageError,
    StorageUnavailable,
)
from adapters_registry.storage import blob_table, scratch
from adapters_registry.storage.blob_table import BlobRow, BlobState
from adapters_registry.storage.database import Database
from adapters_registry.storage.disk import Disk, open_regular, read_chunks, storing
from adapters_registry.storage.examination import Condition, Examination
from adapters_registry.storage.host_cache import HostCache, hash_file
from adapters_registry.storage.object_store import ObjectStore
from adapters_registry.storage.scratch import Scratch

_ATTEMPTS = 3
#: an object must have its row within this time; the sweep of orphans takes only far older ones
PUT_S = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Content that the store holds."""

    sha256: str
    size: int


class Blobs:
    """Once put, content never changes. Safe to use from several threads and processes."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        incoming: Path,
        disk: Disk,
        cache: HostCache | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`incoming` is on the file system of the store, where that is a directory; the cache is
        for a store that is none.
        """
        self.database = database
        self.store = store
        self.cache = cache
        self.clock = clock
        self.examination = Examination(database, store, incoming, disk, cache)
        self._incoming = incoming
        self._disk = disk

    def put(self, source: Path) -> Blob:
        """Copy a file in, durable on return. The same content again is no error, saves a blob that
        was to be collected, and mends one whose bytes are gone, short or in quarantine. That bytes
        of the right size are wrong is seen here in a directory alone; in a bucket, by whoever
        reads them, or by `adapterd doctor --storage`.

        A copy, not a move: the hash is of the very bytes that were stored, whoever still writes to
        the source.
        """
        with self._copying(source) as (copy, blob):
            seen = self._find(blob.sha256)
            if seen is not None and self._is_whole(seen, blob):
                return blob
            name = object_name(blob.sha256)
            started = time.monotonic()
            self._put_object(name, copy, blob.size)
            if time.monotonic() - started > PUT_S:  # a sweep may take the object for an orphan
                raise StorageUnavailable(
                    f"storing {blob.size} bytes took longer than {PUT_S:.0f} s; try again"
                )
            with self.database.write(f"blob {blob.sha256}") as db:
                spare = self._record(db, blob, name, seen)
            if self.cache is not None:
                self.cache.find(blob.sha256)  # drops a wrong copy; a right one may be in use
        if spare is not None:
            with suppress(StorageError):  # an object that no row names is swept later
                self.store.delete(spare)
        return blob

    def keep(self, blobs: Iterable[Blob]) -> bool:
        """Within the transaction that refers to them: whether all are still there. None
        is collected before the transaction ends.
        """
        names = {blob.sha256 for blob in blobs}
        with self.database.write() as db:
            # most are in nobody's way: many tenants publish the same configuration at a time
            is_marked = blob_table.has_marked(db, names)
            held = blob_table.hold(db, names, is_shared=not is_marked)
            for row in held:
                if row.marked_at is not None:
                    blob_table.change(db, row, marked_at=None)
        return len(held) == len(names)

    def path(self, sha256: str, size: int) -> Path:
        """A local path of the content; its reader checks the hash.

        BlobMissing, or BlobCorrupt on another size or where it is in quarantine.
        """
        if self.cache is not None:
            return self._cached_path(self.cache, sha256, size)
        row = self._ready(sha256)
        actual = self.store.size(row.object)
        if actual is None:
            raise BlobMissing(f"stored file {sha256} is gone", sha256=sha256)
        if actual != size:
            self.examine(sha256)
            raise BlobCorrupt(
                f"stored file {sha256} has {actual} bytes, but its manifest records {size}",
                sha256=sha256,
            )
        return self._directory / row.object

    def examine(self, sha256: str) -> bool:
        """For whoever read something else than the content: whether it can be read now.

        A wrong copy on this machine was dropped then, or a wrong or lost object replaced by a good
        copy. Else a wrong object is in quarantine, and nobody reads it again.
        """
        condition = self.examination.examine(sha256)
        if condition == Condition.WHOLE:
            return True
        copy = self.examination.find_good_copy(sha256)
        if copy is None:
            return False
        self.put(copy)
        return True

    def get(self, sha256: str) -> bytes:
        """The content, verified. BlobMissing or BlobCorrupt."""
        try:
            return self._read(sha256)
        except BlobCorrupt:
            if not self.examine(sha256):
                raise
            return self._read(sha256)

    def _read(self, sha256: str) -> bytes:
        path = self.path(sha256, self._ready(sha256).size)
        with storing("read a stored file"):
            try:
                content = path.read_bytes()
            except FileNotFoundError as error:
                raise BlobMissing(f"stored file {sha256} is gone", sha256=sha256) from error
        actual = hashlib.sha256(content).hexdigest()
        if actual != sha256:
            raise BlobCorrupt(
                f"stored file {sha256} is corrupt: its content now has the sha256 {actual}",
                sha256=sha256,
            )
        return content

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for files that are to be put into the store."""
        area = Scratch(self._incoming, self._disk)
        try:
            yield area.path
        finally:
            area.remove()

    def sweep(self) -> list[str]:
        """Remove what dead writers left half-copied; the names."""
        return scratch.sweep(self._incoming, self._disk)

    @property
    def _directory(self) -> Path:
        assert self.store.directory is not None
        return self.store.directory

    def _ready(self, sha256: str) -> BlobRow:
        row = self._find(sha256)
        if row is None or row.state == BlobState.DELETING:
            raise BlobMissing(f"stored file {sha256[:80]} is gone", sha256=sha256)
        if row.state == BlobState.QUARANTINED:
            raise BlobCorrupt(
                f"stored file {sha256} is in quarantine, as its content is not what was stored; "
                "register it again, or run `adapterd doctor --storage`",
                sha256=sha256,
            )
        return row

    def _cached_path(self, cache: HostCache, sha256: str, size: int) -> Path:
        try:
            return cache.path(sha256, size, lambda target: self.fetch(sha256, target))
        except BlobCorrupt:
            if not self.examine(sha256):
                raise
            return cache.path(sha256, size, lambda target: self.fetch(sha256, target))

    def fetch(self, sha256: str, target: Path) -> None:
        """Into a new file, whose reader checks the hash. BlobMissing, or BlobCorrupt where it is in
        quarantine.

        Its object may be replaced by a new one between the look and the fetch.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            row = self._ready(sha256)
            try:
                return self.store.fetch(row.object, target)
            except BlobMissing as error:
                target.unlink(missing_ok=True)
                if attempt == _ATTEMPTS:
                    raise BlobMissing(f"stored file {sha256} is gone", sha256=sha256) from error
        raise AssertionError("unreachable")

    def _find(self, sha256: str) -> BlobRow | None:
        with self.database.read() as db:
            return blob_table.find(db, sha256)

    def _put_object(self, name: str, copy: Path, size: int) -> None:
        try:
            self.store.put(name, copy)
        except ObjectExists:
            # a request that was sent again, as its answer was lost, meets what it stored itself
            if self.store.size(name) != size:
                raise

    def _record(self, db: sa.Connection, blob: Blob, name: str, seen: BlobRow | None) -> str | None:
        """The object that nobody needs any more: the one before; or the new one where somebody else
        stored the content since it was looked for, as theirs may be in use already.
        """
        now = blob_table.find(db, blob.sha256, lock=True)
        is_theirs = now is not None and (seen is None or now.object != seen.object)
        if now is not None and is_theirs and now.state == BlobState.READY:
            blob_table.change(db, now, marked_at=None)
            return name
        return blob_table.put(db, blob.sha256, name, blob.size, self.clock())

    def _is_whole(self, row: BlobRow, blob: Blob) -> bool:
        """Whether the content is stored already, and stays: its mark is taken away."""
        if row.state != BlobState.READY or not self._matches(row, blob):
            return False
        if row.marked_at is None:
            return True
        with self.database.write() as db:
            return blob_table.change(db, row, marked_at=None)

    def _matches(self, row: BlobRow, blob: Blob) -> bool:
        """By its hash where that costs no more than reading a local file, else by its size."""
        if row.size != blob.size or self.store.size(row.object) != blob.size:
            return False
        if self.store.directory is None:
            return True
        with storing("read a stored file"), suppress(FileNotFoundError):
            return hash_file(self._directory / row.object) == blob.sha256
        return False

    @contextmanager
    def _copying(self, source: Path) -> Iterator[tuple[Path, Blob]]:
        with self.scratch() as folder:
            with storing("store a file of the adapter"):
                copy = folder / uuid.uuid4().hex
                running = hashlib.sha256()
                with open_regular(source) as file:
                    chunks = _hashing(read_chunks(file), running.update)
                    self._disk.write(copy, chunks)
                blob = Blob(sha256=running.hexdigest(), size=copy.stat().st_size)
            yield copy, blob


def object_name(sha256: str) -> str:
    """A new one for this content."""
    return f"sha256/{sha256[:2]}/{sha256}.{uuid.uuid4().hex[:8]}"


def content_of(name: str) -> str:
    """The content that an object of this name holds, if it is one of ours."""
    return name.rsplit("/", 1)[-1].split(".", 1)[0]


def _hashing(chunks: Iterable[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
    for chunk in chunks:
        update(chunk)
        yield chunk
