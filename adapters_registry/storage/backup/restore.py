"""Brings a backup back: its blobs first, and then its rows in one transaction that also makes the
tables. Until that commits, whatever was there is there; a restore that died is simply run again. A
blob that the backup holds no more, or wrong, is set in quarantine: it hurts who needs it, no other.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import sqlalchemy as sa

from adapters_registry.errors import BackupUnusable, NotEmpty, ObjectExists, WrongSchema
from adapters_registry.storage import schema
from adapters_registry.storage.backup import table_rows
from adapters_registry.storage.backup.place import BackupPlace, Manifest, blob_name
from adapters_registry.storage.blob_table import BLOB, BlobRow, BlobState, chunks
from adapters_registry.storage.blobs import Blobs
from adapters_registry.storage.database import Database

OnBytes = Callable[[int, int], None]
#: sees the rows before they are replaced, and returns what is done to those that came instead
CarryOver = Callable[[sa.Connection], Callable[[sa.Connection], None]]


class Restore:
    """Into a database and blobs that no server uses meanwhile. Either may be of another kind than
    those that the backup is of.
    """

    def __init__(self, database: Database, blobs: Blobs, place: BackupPlace) -> None:
        self._database = database
        self._blobs = blobs
        self._place = place
        #: why blobs were not restored, by sha256; known once it has run
        self.damaged: dict[str, str] = {}

    def run(
        self,
        *,
        backup_id: str | None = None,
        replace: bool = False,
        on_bytes: OnBytes = lambda *_: None,
        carry_over: CarryOver = lambda _: lambda _: None,
    ) -> Manifest:
        """The newest backup, or the named one. Without `replace` only where there is nothing yet.
        `carry_over` is part of the one transaction. Raises NotEmpty, WrongSchema or StorageError.
        """
        self._place.sweep_scratch()
        manifest = self._place.read_manifest(backup_id)
        if manifest.revision not in schema.revisions():
            raise WrongSchema(
                f"the backup {manifest.id} has schema {manifest.revision}, which is newer than "
                f"this release reads ({schema.head()}); upgrade adapterd",
                found=manifest.revision,
            )
        if not replace:
            self._refuse_rows(manifest)
        rows = [BlobRow(**json.loads(line)) for line in self._place.read_rows(manifest, BLOB.name)]
        self._copy_blobs(manifest, rows, on_bytes)
        self._replace_rows(manifest, carry_over)
        return manifest

    def _refuse_rows(self, manifest: Manifest) -> None:
        with self._database.read() as db:
            if table_rows.has_rows(db):
                raise NotEmpty(
                    f"the backup {manifest.id} was not restored: the database holds versions or "
                    "files already; pass --replace to lose them, or restore into an empty one"
                )

    def _copy_blobs(self, manifest: Manifest, rows: list[BlobRow], on_bytes: OnBytes) -> None:
        total, done = sum(row.size for row in rows), 0
        lost = set(manifest.lost)
        for row in rows:
            if row.sha256 not in lost:
                try:
                    self._copy_blob(row)
                except BackupUnusable as error:
                    self.damaged[row.sha256] = str(error)
            done += row.size
            on_bytes(done, total)

    def _copy_blob(self, row: BlobRow) -> None:
        """An object with the right content stays."""
        store = self._blobs.store
        is_there = store.size(row.object) == row.size
        if is_there and self._blobs.examination.hash_object(row.object) == row.sha256:
            return
        with self._blobs.scratch() as folder:
            copy = self._place.fetch(blob_name(row.sha256), row.sha256, folder)
            try:
                store.put(row.object, copy)
            except ObjectExists:  # with other bytes, as was just seen
                store.delete(row.object)
                store.put(row.object, copy)

    def _replace_rows(self, manifest: Manifest, carry_over: CarryOver) -> None:
        with self._database.write() as db:
            amend = carry_over(db)
            schema.clear_within(db)
            schema.upgrade_within(db, manifest.revision)
            for table in table_rows.reflect(db):
                if table.name in manifest.tables:
                    table_rows.load(db, table, self._place.read_rows(manifest, table.name))
            for some in chunks([*manifest.lost, *self.damaged]):
                is_lost = BLOB.c.sha256.in_(some)
                db.execute(sa.update(BLOB).where(is_lost).values(state=BlobState.QUARANTINED))
            schema.upgrade_within(db)
            amend(db)
