"""Compares rows with bytes: every blob is read, and every reference is followed. Mends what it can:
servers may run meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import sqlalchemy as sa

from adapters_registry.errors import WrongSchema
from adapters_registry.storage import blob_table, schema
from adapters_registry.storage.backup.place import BackupPlace
from adapters_registry.storage.blob_table import BLOB, BlobRow, BlobState
from adapters_registry.storage.blobs import Blobs
from adapters_registry.storage.collection.collector import Collector
from adapters_registry.storage.collection.references import References
from adapters_registry.storage.database import Database
from adapters_registry.storage.repair.finding import Fault, Finding
from adapters_registry.storage.repair.good_copies import GoodCopies

_PAGE = 200
#: blobs that were looked at, and all of them
OnBlobs = Callable[[int, int], None]


class StorageCheck:
    """Of a database and its blobs. `backup` is where lost bytes may come from."""

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        references: References,
        collector: Collector,
        backup: BackupPlace | None = None,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._references = references
        self._collector = collector
        self._copies = GoodCopies(blobs, backup)

    def run(
        self,
        *,
        repair: bool = False,
        reads: bool = True,
        on_blobs: OnBlobs = lambda *_: None,
    ) -> Iterator[Finding]:
        """Without `reads`, sizes are compared and no content is read. Raises StorageError."""
        schema_fault = self._check_schema(repair)
        if schema_fault is not None:
            yield schema_fault
            if not schema_fault.mended:
                return
        yield from self._check_blobs(repair, reads, on_blobs)
        yield from self._check_references(repair)
        yield from self._check_leftovers(repair)

    # ------------------------------------------------------------ what is looked at

    def _check_schema(self, repair: bool) -> Finding | None:
        try:
            schema.check(self._database.engine)
        except WrongSchema as error:
            is_older = schema.current(self._database.engine) in (None, *schema.revisions())
            if repair and is_older:
                schema.upgrade(self._database.engine)
                mended = f"upgraded to {schema.head()}"
                return Finding(fault=Fault.SCHEMA, detail=str(error), mended=mended)
            return Finding(fault=Fault.SCHEMA, detail=str(error))
        return None

    def _check_blobs(self, repair: bool, reads: bool, on_blobs: OnBlobs) -> Iterator[Finding]:
        with self._database.read() as db:
            total = db.execute(sa.select(sa.func.count()).select_from(BLOB)).scalar_one()
        after, done = "", 0
        while True:
            with self._database.read() as db:
                page = blob_table.list_page(db, after, _PAGE)
            if not page:
                return
            for row in page:
                fault = self._find_fault(row, reads)
                if fault is not None and self._is_unchanged(row):
                    yield self._report(row, fault, repair)
            done += len(page)
            on_blobs(done, total)
            after = page[-1].sha256

    def _check_references(self, repair: bool) -> Iterator[Finding]:
        after = ""
        while True:
            with self._database.read() as db:
                page = self._references.list_from(db, after, _PAGE)
                known = sa.select(BLOB.c.sha256).where(BLOB.c.sha256.in_(page))
                lacking = sorted(set(page) - set(db.execute(known).scalars()))
            if not page:
                return
            for sha256 in lacking:
                detail = f"content {sha256} is referred to, and nothing says where it is"
                yield self._mend(Fault.NO_ROW, sha256, detail, repair)
            after = page[-1]

    def _check_leftovers(self, repair: bool) -> Iterator[Finding]:
        deleting = BLOB.c.state == BlobState.DELETING
        with self._database.read() as db:
            half = db.execute(sa.select(sa.func.count()).where(deleting)).scalar_one()
        orphans = list(self._collector.list_orphans())
        if repair and half:
            self._collector.finish()
        if repair and orphans:
            self._collector.delete_orphans()
        if half:
            detail = f"{half} blobs were being deleted by a collection that died"
            mended = "deleted" if repair else ""
            yield Finding(fault=Fault.LEFTOVER, detail=detail, mended=mended)
        if orphans:
            size = sum(each.size for each in orphans)
            detail = f"{len(orphans)} objects of {size} bytes have no row"
            mended = "deleted" if repair else ""
            yield Finding(fault=Fault.ORPHAN, detail=detail, mended=mended)

    # ------------------------------------------------------------ one blob

    def _find_fault(self, row: BlobRow, reads: bool) -> tuple[Fault, str] | None:
        name = f"stored file {row.sha256}"
        if row.state == BlobState.DELETING:
            return None  # counted at the end
        size = self._blobs.store.size(row.object)
        if size is None:
            return Fault.MISSING, f"{name} is gone: there is no object {row.object}"
        if row.state == BlobState.QUARANTINED:
            return Fault.QUARANTINED, f"{name} is in quarantine: its content was wrong"
        if size != row.size:
            return Fault.SHORT, f"{name} has {size} bytes, its row records {row.size}"
        actual = self._blobs.examination.hash_object(row.object) if reads else row.sha256
        if actual not in (row.sha256, None):
            return Fault.CORRUPT, f"{name} is corrupt: its content has the sha256 {actual}"
        return None

    def _is_unchanged(self, row: BlobRow) -> bool:
        """Whether it was not stored anew, or collected, while it was looked at."""
        with self._database.read() as db:
            now = blob_table.find(db, row.sha256)
        return now is not None and (now.object, now.state) == (row.object, row.state)

    def _report(self, row: BlobRow, symptom: tuple[Fault, str], repair: bool) -> Finding:
        fault, detail = symptom
        if repair and fault in (Fault.SHORT, Fault.CORRUPT):
            # also where no good copy is found: it must not be served
            self._blobs.examination.examine(row.sha256)
        return self._mend(fault, row.sha256, detail, repair)

    def _mend(self, fault: Fault, sha256: str, detail: str, repair: bool) -> Finding:
        with self._database.read() as db:
            owners = tuple(map(str, self._references.list_owners(db, sha256)))
        mended = ""
        if repair and owners:
            mended = self._restore(sha256)
        elif repair:
            outcome = self._collector.run(0, only=[sha256])
            mended = "deleted, as nothing needs it" if outcome.num_deleted else ""
            if outcome.held_by:
                detail = f"{detail}; nothing needs it, and it stays for now: {outcome.held_by}"
        return Finding(fault=fault, detail=detail, sha256=sha256, owners=owners, mended=mended)

    def _restore(self, sha256: str) -> str:
        source = self._copies.restore(sha256)
        return f"restored from {source}" if source else ""
