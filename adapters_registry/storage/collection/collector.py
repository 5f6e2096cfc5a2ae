"""Collection in two phases: mark what nothing refers to, and delete what has been marked for the
grace. Knows no table but those of blobs; what refers to them is told to it.

Whoever publishes locks the rows of its blobs before it refers to them. Here, rows are locked first
and looked at in a statement of its own after that, so that no reference is missed. What a kill
leaves is a row in state `deleting`, which the next run finishes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import islice

import sqlalchemy as sa

from adapters_registry.storage import blob_table
from adapters_registry.storage.blob_table import BLOB, HOLD, BlobRow, BlobState
from adapters_registry.storage.blobs import PUT_S, Blobs
from adapters_registry.storage.collection.collection import Collection
from adapters_registry.storage.collection.references import References
from adapters_registry.storage.database import Database
from adapters_registry.storage.object_store import StoredObject

_log = logging.getLogger(__name__)
#: an object without a row may still get it within half of this time
ORPHAN_AGE_S = 2 * PUT_S
#: all that this package puts into a store; what else is there, others put
_OURS = ("sha256/", "self-test/")


class Collector:
    """Any number of them may run at once, beside any number of publishers."""

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        references: References,
        *,
        orphan_age_s: float = ORPHAN_AGE_S,
    ) -> None:
        """A shorter `orphan_age_s` is for a store that nobody writes to meanwhile."""
        self._database = database
        self._blobs = blobs
        self._references = references
        self._orphan_age_s = orphan_age_s

    def run(self, grace_s: float, only: Sequence[str] | None = None) -> Collection:
        """With `only`, of these blobs alone, and no orphans. Raises StorageError; what was done
        until then stays done, and the next run goes on.
        """
        now = self._blobs.clock()
        among = sa.true() if only is None else BLOB.c.sha256.in_(only)
        marked = self._mark(now, among)
        held_by = self._doom(now - grace_s, among)
        deleted = self.finish(among)
        orphans = self.delete_orphans(grace_s) if only is None else []
        for row in deleted:
            marked.pop(row.sha256, None)
        self.drop_copies()
        outcome = Collection(
            num_marked=len(marked),
            marked_bytes=sum(marked.values()),
            num_deleted=len(deleted),
            deleted_bytes=sum(row.size for row in deleted),
            num_orphans=len(orphans),
            orphan_bytes=sum(each.size for each in orphans),
            held_by=held_by,
        )
        if deleted or orphans:
            extra = {"action": "blobs.collected", "blobs": len(deleted), "orphans": len(orphans)}
            _log.info(
                "%d bytes were deleted", outcome.deleted_bytes + outcome.orphan_bytes, extra=extra
            )
        return outcome

    def preview(self, grace_s: float) -> Collection:
        """What `run` would do now; changes nothing."""
        now = self._blobs.clock()
        doomed = self._is_due(now - grace_s)
        unmarked = self._garbage() & BLOB.c.marked_at.is_(None)
        # without a grace, what a run marks it deletes as well
        at_once = unmarked if grace_s <= 0 else sa.false()
        goes = sa.or_(BLOB.c.state == BlobState.DELETING, doomed, at_once)
        orphans = list(self.list_orphans(grace_s))
        with self._database.read() as db:
            marked = _count(db, self._garbage() & ~goes)
            deleted = _count(db, goes)
            held_by = self._held_by(db, now)
            kept = self._references.list_bytes(db)
        return Collection(
            num_marked=marked[0],
            marked_bytes=marked[1],
            num_deleted=deleted[0],
            deleted_bytes=deleted[1],
            num_orphans=len(orphans),
            orphan_bytes=sum(each.size for each in orphans),
            held_by=held_by,
            kept_by_tenant=kept,
        )

    # ------------------------------------------------------------ phase 1

    def _mark(self, now: float, among: sa.ColumnElement[bool]) -> dict[str, int]:
        """The sizes of what is marked anew, by sha256. What is needed again loses its mark: its
        grace begins anew once it is not.
        """
        needed = self._references.holds() & BLOB.c.marked_at.is_not(None)
        for page in self._pages(among & _KEPT & needed):
            self._change(page, needed, marked_at=None)
        unmarked = self._garbage() & BLOB.c.marked_at.is_(None)
        marked: dict[str, int] = {}
        for page in self._pages(among & unmarked):
            rows = self._change(page, unmarked, marked_at=now)
            marked |= {row.sha256: row.size for row in rows}
        return marked

    # ------------------------------------------------------------ phase 2

    def _doom(self, marked_until: float, among: sa.ColumnElement[bool]) -> str:
        """No reader and no publisher meets a blob again from its `deleting` on. Why nothing was
        done, if something holds it.
        """
        doomed = self._is_due(marked_until)
        for page in self._pages(among & doomed):
            with self._database.write() as db:
                rows = _lock(db, page, doomed)
                # the last look before the change: what began to hold meanwhile has not looked yet
                if held_by := self._held_by(db, self._blobs.clock()):
                    return held_by
                for row in rows:
                    blob_table.change(db, row, state=BlobState.DELETING)
        return ""

    def finish(self, among: sa.ColumnElement[bool] | None = None) -> list[BlobRow]:
        """Delete what was decided on, by this run or by one that died: the objects outside of any
        transaction, and then the rows.
        """
        among = sa.true() if among is None else among
        deleted = []
        for page in self._pages(among & (BLOB.c.state == BlobState.DELETING)):
            for row in page:
                self._blobs.store.delete(row.object)
                if self._blobs.cache is not None:
                    self._blobs.cache.drop(row.sha256)
            with self._database.write() as db:
                deleted += [row for row in page if blob_table.remove(db, row)]
        return deleted

    def drop_copies(self) -> None:
        """Of what was deleted through any server, this machine keeps no copy either. Raises
        StorageError.
        """
        cache = self._blobs.cache
        if cache is None:
            return
        for some in blob_table.chunks(cache.list()):
            with self._database.read() as db:
                known = sa.select(BLOB.c.sha256).where(BLOB.c.sha256.in_(some))
                gone = set(some) - set(db.execute(known).scalars())
            for sha256 in gone:
                cache.drop(sha256)

    # ------------------------------------------------------------ orphans

    def delete_orphans(self, grace_s: float = 0.0) -> list[StoredObject]:
        orphans = []
        for orphan in self.list_orphans(grace_s):
            self._blobs.store.delete(orphan.name)
            orphans.append(orphan)
        return orphans

    def list_orphans(self, grace_s: float = 0.0) -> Iterator[StoredObject]:
        """Old objects that no row names; by the clock of the store, whatever the clocks of its
        writers say.
        """
        oldest = self._blobs.store.now() - max(grace_s, self._orphan_age_s)
        listed = self._blobs.store.list()
        old = (o for o in listed if o.name.startswith(_OURS) and o.modified_at <= oldest)
        while some := list(islice(old, blob_table.CHUNK)):
            with self._database.read() as db:
                known = blob_table.list_objects(db, [each.name for each in some])
            yield from (each for each in some if each.name not in known)

    # ------------------------------------------------------------ inside

    def _garbage(self) -> sa.ColumnElement[bool]:
        return _KEPT & ~self._references.holds()

    def _is_due(self, marked_until: float) -> sa.ColumnElement[bool]:
        is_old = BLOB.c.marked_at.is_not(None) & (BLOB.c.marked_at <= marked_until)
        return self._garbage() & is_old

    def _change(
        self, page: list[BlobRow], condition: sa.ColumnElement[bool], **values: object
    ) -> list[BlobRow]:
        with self._database.write() as db:
            rows = _lock(db, page, condition)
            return [row for row in rows if blob_table.change(db, row, **values)]

    def _pages(self, condition: sa.ColumnElement[bool]) -> Iterator[list[BlobRow]]:
        after = ""
        while True:
            with self._database.read() as db:
                page = _list(db, condition & (BLOB.c.sha256 > after))
            if not page:
                return
            yield page
            after = page[-1].sha256

    def _held_by(self, db: sa.Connection, now: float) -> str:
        reasons = sa.select(HOLD.c.reason).where(HOLD.c.until > now).order_by(HOLD.c.id)
        return ", ".join(db.execute(reasons).scalars())


#: not about to be deleted
_KEPT = BLOB.c.state != BlobState.DELETING


def _lock(
    db: sa.Connection, page: list[BlobRow], condition: sa.ColumnElement[bool]
) -> list[BlobRow]:
    """Those that nobody holds, and that fulfil the condition still."""
    names = [row.sha256 for row in page]
    free = sa.select(BLOB.c.sha256).where(BLOB.c.sha256.in_(names)).order_by(BLOB.c.sha256)
    mine = list(db.execute(free.with_for_update(skip_locked=True)).scalars())
    return _list(db, condition & BLOB.c.sha256.in_(mine))


def _list(db: sa.Connection, condition: sa.ColumnElement[bool]) -> list[BlobRow]:
    page = sa.select(BLOB).where(condition).order_by(BLOB.c.sha256).limit(blob_table.CHUNK)
    return [BlobRow(**row._mapping) for row in db.execute(page)]


def _count(db: sa.Connection, condition: sa.ColumnElement[bool]) -> tuple[int, int]:
    total = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(BLOB.c.size), 0))
    num, size = db.execute(total.select_from(BLOB).where(condition)).one()
    return int(num), int(size)
