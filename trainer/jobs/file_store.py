"""Uploaded files: bytes under one directory, records in the job database. Knows nothing about the
content of a file.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path, PurePath

from adapters_registry.storage import private
from trainer.errors import FileTooLarge, UnknownFile
from trainer.jobs.store import JobStore
from trainer.jobs.values import FileQuery, FileRecord
from trainer.storage_errors import storing

_log = logging.getLogger(__name__)
_PART = ".part"


class FileStore:
    """Files by id, each seen by its own tenant only.

    A file is on disk, whole and synced, before its record is written; a crash between the two
    leaves bytes without a record, which `sweep` removes.
    """

    def __init__(
        self, directory: Path, store: JobStore, clock: Callable[[], float] = time.time
    ) -> None:
        self._directory = directory
        self._store = store
        self._clock = clock
        with storing(f"The upload directory {directory} cannot be created"):
            private.make_directory(directory)

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

        Content that the tenant has stored already takes no further room.
        """
        file_id = f"file-{uuid.uuid4().hex}"
        size, sha256 = self._store_bytes(self._where(file_id), chunks, max_bytes)
        self._share(file_id, self._store.files.find_content(tenant, sha256), size)
        record = FileRecord(
            id=file_id,
            tenant=tenant,
            filename=_plain(filename),
            purpose=purpose,
            bytes=size,
            sha256=sha256,
            created_at=self._clock(),
            name=name,
        )
        try:
            self._store.files.add(record)
        except BaseException:
            self._drop(file_id)
            raise
        return record

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
        """Where the bytes are, for the file's own tenant."""
        return self._where(self.get(tenant, file_id).id)

    def read(self, tenant: str, file_id: str) -> bytes:
        path = self.path(tenant, file_id)
        with storing(f"The file {file_id!r} cannot be read"):
            try:
                return path.read_bytes()
            except FileNotFoundError:
                raise UnknownFile(
                    f"The content of the file {file_id!r} is missing on the server; upload it "
                    "again."
                ) from None

    def delete(self, tenant: str, file_id: str) -> None:
        """Raises FileInUse while a queued or running job needs the file."""
        self._store.files.delete(tenant, file_id)
        self._drop(file_id)

    def sweep(self, older_than_s: float = 3600.0) -> Sequence[str]:
        """Remove what crashed uploads left behind; `older_than_s` protects uploads in progress."""
        known = self._store.files.ids()
        oldest = self._clock() - older_than_s
        orphans = [
            p
            for p in self._directory.iterdir()
            if p.name not in known and p.stat().st_mtime < oldest
        ]
        for orphan in orphans:
            orphan.unlink()
        return sorted(orphan.name for orphan in orphans)

    def _drop(self, file_id: str) -> None:
        """Remove bytes without a record; a sweep removes later what cannot be removed now."""
        try:
            self._where(file_id).unlink(missing_ok=True)
        except OSError as error:
            _log.warning(
                "the bytes of %s were not removed: %s",
                file_id,
                error,
                extra={"action": "file.left"},
            )

    def _where(self, file_id: str) -> Path:
        return self._directory / file_id

    def _share(self, file_id: str, stored: str | None, size: int) -> None:
        """Make the file another name of the bytes that are stored already, where the disk can and
        they are still whole.
        """
        if stored is None:
            return
        path = self._where(file_id)
        link = path.with_name(path.name + _PART)
        with suppress(OSError):
            os.link(self._where(stored), link)
            if link.stat().st_size == size:
                os.utime(link)  # by its age a sweep would take it for what a crash left
                link.rename(path)
            link.unlink(missing_ok=True)

    def _store_bytes(self, path: Path, chunks: Iterable[bytes], max_bytes: int) -> tuple[int, str]:
        part = path.with_name(path.name + _PART)
        try:
            with storing("The upload could not be stored"):
                size, sha256 = _write_synced(part, chunks, max_bytes)
                part.rename(path)
                _sync_directory(path.parent)
        except BaseException:
            with suppress(OSError):
                part.unlink(missing_ok=True)
                path.unlink(missing_ok=True)
            raise
        return size, sha256


def _write_synced(path: Path, chunks: Iterable[bytes], max_bytes: int) -> tuple[int, str]:
    size, running = 0, hashlib.sha256()
    with private.create(path) as file:
        for chunk in chunks:
            size += len(chunk)
            if size > max_bytes:
                raise FileTooLarge(max_bytes)
            running.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return size, running.hexdigest()


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _plain(filename: str) -> str:
    """A name to display and to recognise the format by; it is never part of a path."""
    name = PurePath(filename.replace("\\", "/")).name
    return "".join(letter for letter in name if letter.isprintable())[:255] or "upload"
