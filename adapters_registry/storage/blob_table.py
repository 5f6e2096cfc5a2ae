"""All SQL about blobs: which object holds each content, and whether it is about to be collected.

A blob is `ready`, or `deleting` once collection decided so, or `quarantined` once its bytes turned
out to be wrong. Its epoch grows with every change, so that whoever acts on what it saw earlier can
tell. Knows no bytes, and not who refers to a blob.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

METADATA = sa.MetaData()
BLOB = sa.Table(
    "blob",
    METADATA,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("object", sa.String(128), nullable=False, unique=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("stored_at", sa.Double, nullable=False),
    sa.Column("marked_at", sa.Double),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Index("blob_by_mark", "marked_at"),
)
#: while one of these is in force, collection deletes nothing (a backup is copying)
HOLD = sa.Table(
    "collection_hold",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("reason", sa.String(200), nullable=False),
    sa.Column("until", sa.Double, nullable=False),
)
#: per statement: below every database's limit of parameters
CHUNK = 500


class BlobState(StrEnum):
    """What may be done with a blob."""

    READY = "ready"
    DELETING = "deleting"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobRow:
    """A content, and the object that holds it."""

    sha256: str
    object: str
    size: int
    state: str
    stored_at: float
    marked_at: float | None
    epoch: int


def find(db: sa.Connection, sha256: str, *, lock: bool = False) -> BlobRow | None:
    """With `lock`, nobody else changes the row until the transaction ends."""
    query = sa.select(BLOB).where(BLOB.c.sha256 == sha256)
    row = db.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else BlobRow(**row._mapping)


def put(db: sa.Connection, sha256: str, name: str, size: int, now: float) -> str | None:
    """The content is in the object of this name from now on; the name of the object before, if any.
    The caller holds the blob's lock.
    """
    before = find(db, sha256, lock=True)
    values = {"object": name, "size": size, "state": BlobState.READY, "stored_at": now}
    if before is None:
        db.execute(sa.insert(BLOB).values(sha256=sha256, marked_at=None, epoch=1, **values))
        return None
    change(db, before, marked_at=None, **values)
    return before.object


def change(db: sa.Connection, row: BlobRow, **values: object) -> bool:
    """Whether the blob was still as it was seen."""
    changed = sa.update(BLOB).where(_same(row)).values(epoch=row.epoch + 1, **values)
    return bool(db.execute(changed).rowcount)


def remove(db: sa.Connection, row: BlobRow) -> bool:
    """Whether the blob was still as it was seen."""
    return bool(db.execute(sa.delete(BLOB).where(_same(row))).rowcount)


def hold(db: sa.Connection, sha256s: Iterable[str], *, is_shared: bool = False) -> list[BlobRow]:
    """Those that are ready, in the order of their names; nobody changes them until the transaction
    ends. Shared, others can hold them too.
    """
    held: list[BlobRow] = []
    for some in chunks(sorted(set(sha256s))):
        ready = sa.select(BLOB).where(BLOB.c.sha256.in_(some), BLOB.c.state == BlobState.READY)
        rows = db.execute(ready.order_by(BLOB.c.sha256).with_for_update(read=is_shared))
        held += [BlobRow(**row._mapping) for row in rows]
    return held


def has_marked(db: sa.Connection, sha256s: Iterable[str]) -> bool:
    """Whether one of them is to be collected."""
    return any(
        db.execute(
            sa.select(BLOB.c.sha256).where(BLOB.c.sha256.in_(some), BLOB.c.marked_at.is_not(None))
        ).first()
        for some in chunks(list(sha256s))
    )


def list_objects(db: sa.Connection, names: Iterable[str]) -> set[str]:
    """Which of these objects hold a blob."""
    known: set[str] = set()
    for some in chunks(list(names)):
        known |= set(db.execute(sa.select(BLOB.c.object).where(BLOB.c.object.in_(some))).scalars())
    return known


def list_page(db: sa.Connection, after: str, limit: int) -> list[BlobRow]:
    """Of all blobs, by sha256."""
    page = sa.select(BLOB).where(BLOB.c.sha256 > after).order_by(BLOB.c.sha256).limit(limit)
    return [BlobRow(**row._mapping) for row in db.execute(page)]


def put_hold(db: sa.Connection, name: str, reason: str, until: float) -> None:
    """From now on, or for longer than so far."""
    extended = sa.update(HOLD).where(HOLD.c.id == name).values(until=until)
    if not db.execute(extended).rowcount:
        db.execute(sa.insert(HOLD).values(id=name, reason=reason, until=until))


def list_holds(db: sa.Connection, now: float) -> list[str]:
    """Those in force."""
    return list(db.execute(sa.select(HOLD.c.id).where(HOLD.c.until > now)).scalars())


def remove_hold(db: sa.Connection, name: str, now: float) -> None:
    """And those whose owners died."""
    db.execute(sa.delete(HOLD).where((HOLD.c.id == name) | (HOLD.c.until <= now)))


def _same(row: BlobRow) -> sa.ColumnElement[bool]:
    """Epochs begin anew once a row was removed; an object's name never comes back."""
    return sa.and_(
        BLOB.c.sha256 == row.sha256, BLOB.c.epoch == row.epoch, BLOB.c.object == row.object
    )


def chunks(names: Sequence[str]) -> Iterable[Sequence[str]]:
    return (names[start : start + CHUNK] for start in range(0, len(names), CHUNK))
