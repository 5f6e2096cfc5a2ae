"""Makes a backup while servers go on: rows first, in one snapshot, then every blob that they name,
and the manifest last. Collection deletes nothing meanwhile, by a row that holds it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime

import sqlalchemy as sa

from adapters_registry.errors import BlobCorrupt, BlobMissing
from adapters_registry.storage import blob_table, schema
from adapters_registry.storage.backup import table_rows
from adapters_registry.storage.backup.place import (
    BackupPlace,
    Manifest,
    blob_name,
    sync_and_hash,
)
from adapters_registry.storage.blob_table import BLOB, BlobRow, BlobState
from adapters_registry.storage.blobs import Blobs
from adapters_registry.storage.collection.references import References
from adapters_registry.storage.database import Database
from adapters_registry.storage.disk import Disk

#: how long a backup that died keeps collection from deleting
_HOLD_S = 3600.0
_RENEW_S = 300.0
#: bytes that are done, and all of them
OnBytes = Callable[[int, int], None]


class Backup:
    """One backup of a database and its blobs."""

    def __init__(
        self, database: Database, blobs: Blobs, references: References, place: BackupPlace
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._references = references
        self._place = place
        self._disk = Disk()
        now = datetime.fromtimestamp(blobs.clock(), UTC)
        self._id = f"{now:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:6]}"

    def run(self, on_bytes: OnBytes = lambda *_: None) -> Manifest:
        """The manifest is there once this returns. Raises StorageError; blobs that were copied
        until then need not be copied by the next backup.
        """
        with self._holding():
            self._place.sweep(self._list_running())
            revision, tables, rows = self._copy_rows()
            lost = self._copy_blobs(rows, on_bytes)
            manifest = Manifest(
                id=self._id,
                created_at=self._blobs.clock(),
                revision=revision,
                tables=tables,
                lost=lost,
                num_blobs=len(rows),
                num_bytes=sum(row.size for row in rows),
            )
            self._place.put_manifest(manifest)
        return manifest

    def _copy_rows(self) -> tuple[str, dict[str, str], list[BlobRow]]:
        """The revision of the schema, the hashes of the files of rows, and the blobs that the rows
        need.
        """
        with self._database.read() as db:
            needed = sa.select(BLOB).where(self._references.holds())
            rows = [BlobRow(**row._mapping) for row in db.execute(needed.order_by(BLOB.c.sha256))]
            tables = {}
            for table in table_rows.reflect(db):
                lines = table_rows.dump(db, table)
                if table.name == BLOB.name:
                    lines = table_rows.encode(map(_blob_facts, rows))
                tables[table.name] = self._place.put_rows(self._id, table.name, lines)
            return schema.read_revision(db) or "", tables, rows

    def _copy_blobs(self, rows: list[BlobRow], on_bytes: OnBytes) -> list[str]:
        """Those that are lost. What the place has already, and right, is not copied again."""
        there = self._place.sizes()
        total, done, renewed = sum(row.size for row in rows), 0, time.monotonic()
        lost = []
        for row in rows:
            is_there = there.get(blob_name(row.sha256)) == row.size
            if not (is_there and self._place.is_right(row.sha256)) and not self._copy_blob(row):
                lost.append(row.sha256)
            if time.monotonic() - renewed > _RENEW_S:
                self._hold()
                renewed = time.monotonic()
            done += row.size
            on_bytes(done, total)
        return lost

    def _copy_blob(self, row: BlobRow) -> bool:
        """Whether there were right bytes to copy."""
        for _ in range(2):
            with self._place.scratch() as folder:
                copy = folder / row.sha256
                try:
                    self._blobs.fetch(row.sha256, copy)
                except (BlobMissing, BlobCorrupt):
                    pass
                else:
                    if sync_and_hash(copy, self._disk) == row.sha256:
                        self._place.put_blob(row.sha256, row.size, copy)
                        return True
            if not self._blobs.examine(row.sha256):
                return False
        return False

    @contextmanager
    def _holding(self) -> Iterator[None]:
        self._hold()
        try:
            yield
        finally:
            with self._database.write() as db:
                blob_table.remove_hold(db, self._id, self._blobs.clock())

    def _list_running(self) -> list[str]:
        """Of this database."""
        with self._database.read() as db:
            return blob_table.list_holds(db, self._blobs.clock())

    def _hold(self) -> None:
        with self._database.write() as db:
            until = self._blobs.clock() + _HOLD_S
            blob_table.put_hold(db, self._id, f"the backup {self._id} is being made", until)


def _blob_facts(row: BlobRow) -> dict[str, object]:
    """Of a blob as it will be once restored."""
    return {**asdict(row), "state": BlobState.READY, "marked_at": None}
