"""Looks for right bytes of a content elsewhere: on this machine, in another object of the store, in
a backup. Knows no version.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from pathlib import Path

from adapters_registry.errors import BackupUnusable, BlobMissing
from adapters_registry.storage.backup.place import BackupPlace, blob_name
from adapters_registry.storage.blobs import Blobs, content_of
from adapters_registry.storage.disk import storing
from adapters_registry.storage.host_cache import hash_file


class GoodCopies:
    """The store is listed once, when something is looked for."""

    def __init__(self, blobs: Blobs, backup: BackupPlace | None) -> None:
        self._blobs = blobs
        self._backup = backup
        self._objects: dict[str, list[str]] | None = None

    def restore(self, sha256: str) -> str:
        """Where a copy came from that is in its place now; empty if there is none."""
        if (cached := self._blobs.examination.find_good_copy(sha256)) is not None:
            self._blobs.put(cached)
            return "a copy on this machine"
        with self._blobs.scratch() as folder:
            if (copy := self._from_objects(sha256, folder)) is not None:
                self._blobs.put(copy)
                return "another object of the store"
            if (copy := self._from_backup(sha256, folder)) is not None:
                self._blobs.put(copy)
                return "the backup"
        return ""

    def _from_objects(self, sha256: str, folder: Path) -> Path | None:
        for name in self._list_objects().get(sha256, []):
            copy = folder / uuid.uuid4().hex
            with suppress(BlobMissing):
                self._blobs.store.fetch(name, copy)
                with storing("read a fetched file"):
                    if hash_file(copy) == sha256:
                        return copy
        return None

    def _from_backup(self, sha256: str, folder: Path) -> Path | None:
        if self._backup is None:
            return None
        with suppress(BackupUnusable):  # which does not have it, or not whole
            return self._backup.fetch(blob_name(sha256), sha256, folder)
        return None

    def _list_objects(self) -> dict[str, list[str]]:
        if self._objects is None:
            self._objects = {}
            for stored in self._blobs.store.list():
                self._objects.setdefault(content_of(stored.name), []).append(stored.name)
        return self._objects
