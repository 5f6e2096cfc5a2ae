"""Uploaded files: records in the job database, bytes by their digest in the shared store. Knows
nothing about the content of a file.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePath

from adapters_registry.errors import BlobCorrupt, BlobMissing
from adapters_registry.storage import scratch
from adapters_registry.storage.blobs import Blobs
from adapters_registry.storage.disk import Disk
from adapters_registry.storage.host_cache import hash_file
from adapters_registry.storage.scratch import Scratch
from trainer.errors import FileTooLarge, StorageFailed, UnknownFile
from trainer.jobs.store import JobStore
from trainer.jobs.values import FileQuery, FileRecord
from trainer.storage_errors import storing

_ATTEMPTS = 3


class FileStore:
    """Files by id, each seen by its own tenant only.

    A file's bytes are stored whole before its record is written; those without a record are
    collected later, as are those of a deleted file that no other file has.
    """

    def __init__(
        self,
        blobs: Blobs,
        store: JobStore,
        incoming: Path,
        clock: Callable[[], float] = time.time,
        disk: Disk | None = None,
    ) -> None:
        """`incoming` is where uploads wait on this machine until they are whole."""
        self._blobs = blobs
        self._store = store
        self._incoming = incoming
        self._clock = clock
        self._disk = disk or Disk()

    def put(
        self,
        tenant: str,
        filename: str,
        purpose: str,
        chunks: Iterable[bytes],
        max_bytes: int,
        name: str = "",
    ) -> FileRecord:
        """Store an upload. Raises FileTooLarge or StorageFailed; nothing is stored then.

        Content that is stored already takes no further room.
        """
        with storing("The upload could not be stored"):
            area = Scratch(self._incoming, self._disk)
            try:
                upload = area.path / "upload"
                self._disk.write(upload, _limit(chunks, max_bytes))
                return self._add(upload, tenant, _plain(filename), purpose, name)
            finally:
                area.remove()

    def get(self, tenant: str, file_id: str) -> FileRecord:
        return self._store.files.get(tenant, file_id)

    def list(
        self,
        tenant: str,
        after: str | None = None,
        limit: int = 100,
        query: FileQuery | None = None,
    ) -> Sequence[FileRecord]:
        return self._store.files.list(tenant, after, limit, query or FileQuery())

    def path(self, tenant: str, file_id: str) -> Path:
        """Where the bytes are on this machine, verified, for the file's own tenant. Raises
        UnknownFile where they are gone or are not what was uploaded.
        """
        record = self.get(tenant, file_id)
        with storing(f"The file {file_id!r} cannot be read"):
            try:
                return self._verified_path(record)
            except (BlobMissing, BlobCorrupt, FileNotFoundError) as error:
                raise _lost_content(file_id) from error

    def read(self, tenant: str, file_id: str) -> bytes:
        """Raises UnknownFile, as `path` does."""
        path = self.path(tenant, file_id)
        with storing(f"The file {file_id!r} cannot be read"):
            try:
                return path.read_bytes()
            except FileNotFoundError as error:
                raise _lost_content(file_id) from error

    def delete(self, tenant: str, file_id: str) -> None:
        """Raises FileInUse while a queued or running job needs the file."""
        self._store.files.delete(tenant, file_id)

    def sweep(self) -> Sequence[str]:
        """Remove what crashed uploads left behind on this machine."""
        with storing("Unfinished uploads cannot be removed"):
            return scratch.sweep(self._incoming, self._disk)

    def _add(self, upload: Path, tenant: str, filename: str, purpose: str, name: str) -> FileRecord:
        """The bytes first; they may be collected until a record names them."""
        for _ in range(_ATTEMPTS):
            blob = self._blobs.put(upload)
            record = FileRecord(
                id=f"file-{uuid.uuid4().hex}",
                tenant=tenant,
                filename=filename,
                purpose=purpose,
                bytes=blob.size,
                sha256=blob.sha256,
                created_at=self._clock(),
                name=name,
            )
            with self._blobs.database.write():
                if self._blobs.keep([blob]):
                    self._store.files.add(record)
                    return record
        raise StorageFailed("The upload was collected each time it was stored; try again.")

    def _verified_path(self, record: FileRecord) -> Path:
        """A copy in the cache that went wrong is fetched anew."""
        if self._blobs.cache is not None:
            path = self._blobs.cache.find(record.sha256)
            # what the cache fetches it verifies itself
            return path or self._blobs.path(record.sha256, record.bytes)
        path = self._blobs.path(record.sha256, record.bytes)
        if hash_file(path) != record.sha256 and not self._blobs.examine(record.sha256):
            raise BlobCorrupt(f"stored file {record.sha256} is corrupt", sha256=record.sha256)
        return path


def _limit(chunks: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise FileTooLarge(max_bytes)
        yield chunk


def _lost_content(file_id: str) -> UnknownFile:
    return UnknownFile(
        f"The content of the file {file_id!r} is missing on the server; upload it again."
    )


def _plain(filename: str) -> str:
    """A name to display and to recognise the format by; it is never part of a path."""
    name = PurePath(filename.replace("\\", "/")).name
    return "".join(letter for letter in name if letter.isprintable())[:255] or "upload"
