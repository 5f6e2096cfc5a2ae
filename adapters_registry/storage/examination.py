"""What to do about a blob whose bytes are not what was stored: look twice, set the object aside,
and put a good copy in its place where this machine has one. Knows no version.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from adapters_registry.errors import BlobMissing
from adapters_registry.storage import blob_table
from adapters_registry.storage.blob_table import BlobRow, BlobState
from adapters_registry.storage.database import Database
from adapters_registry.storage.disk import Disk, storing
from adapters_registry.storage.host_cache import HostCache, hash_file
from adapters_registry.storage.object_store import ObjectStore
from adapters_registry.storage.scratch import Scratch

_log = logging.getLogger(__name__)


#: the blob as it was, and the sha256 that its bytes have
Recorder = Callable[[BlobRow, str], None]


class Condition(StrEnum):
    """Of a blob, after it was looked at."""

    WHOLE = "whole"
    #: no longer served; the object is left as it is, for whoever wants to know what happened
    QUARANTINED = "quarantined"
    MISSING = "missing"


class Examination:
    """Reads objects and compares them with what they are named for."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        incoming: Path,
        disk: Disk,
        cache: HostCache | None,
    ) -> None:
        self._database = database
        self._store = store
        self._incoming = incoming
        self._disk = disk
        self._cache = cache
        #: since this process started
        self.num_quarantined = 0
        self._recorders: list[Recorder] = []

    def record_with(self, recorder: Recorder) -> None:
        """Called within the transaction that puts a blob into quarantine."""
        self._recorders.append(recorder)

    def examine(self, sha256: str) -> Condition:
        """Drops a wrong copy on this machine, and sets a wrong object aside. A second read tells
        a wrong object from a wrong read. Raises StorageError where the store cannot be read.
        """
        if self._cache is not None:
            self._cache.find(sha256)
        with self._database.read() as db:
            row = blob_table.find(db, sha256)
        if row is None or row.state == BlobState.DELETING:
            return Condition.MISSING
        if row.state == BlobState.QUARANTINED:
            return Condition.QUARANTINED
        actual = self.hash_object(row.object)
        if actual == sha256 or (actual := self.hash_object(row.object)) == sha256:
            return Condition.WHOLE
        if actual is None:
            return Condition.MISSING
        self.quarantine(row, actual)
        return Condition.QUARANTINED

    def quarantine(self, row: BlobRow, actual: str) -> bool:
        """Whether it was still as it was seen."""
        with self._database.write(f"blob {row.sha256}") as db:
            is_changed = blob_table.change(db, row, state=BlobState.QUARANTINED)
            for recorder in self._recorders if is_changed else ():
                recorder(row, actual)
        if is_changed:
            self.num_quarantined += 1
            extra = {"action": "blob.quarantined", "sha256": row.sha256, "object": row.object}
            message = "stored file %s is in quarantine: its content has the sha256 %s"
            _log.error(message, row.sha256, actual, extra=extra)
        return is_changed

    def find_good_copy(self, sha256: str) -> Path | None:
        """On this machine."""
        return None if self._cache is None else self._cache.find(sha256)

    def hash_object(self, name: str) -> str | None:
        """None where there is no such object."""
        if self._store.directory is not None:
            with storing("read a stored file"), suppress(FileNotFoundError):
                return hash_file(self._store.directory / name)
            return None
        area = Scratch(self._incoming, self._disk)
        try:
            copy = area.path / uuid.uuid4().hex
            self._store.fetch(name, copy)
            with storing("read a fetched file"):
                return hash_file(copy)
        except BlobMissing:
            return None
        finally:
            area.remove()
