"""Records changes within the transactions that make them, and reads them back. Every tenant has a
chain of its own, so that no tenant waits for another and each can check its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from adapters_registry.audit.actor import Actor, current_actor
from adapters_registry.audit.audit_event import GENESIS, AuditEvent, Change, Outcome, hash_row
from adapters_registry.audit.tables import AUDIT_EVENT, AUDIT_HEAD, MAX_TARGET, MAX_TASK
from adapters_registry.errors import StorageError
from adapters_registry.storage.database import Database

_KEY = "audit"
_PAGE = 1000


class AuditLog:
    """Over the database of what changes. Safe to use from several threads and processes."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def record(self, change: Change) -> None:
        """Of the open transaction, with which it is committed or rolled back; outside of one, in
        one of its own.
        """
        change = _storable(change)
        with self._database.write():
            pending = self._database.before_commit(_KEY, _Pending(self._database), is_last=True)
            pending.add(change, current_actor(), self._clock())

    def refuse(self, change: Change, error: Exception) -> None:
        """After the transaction was rolled back: what was asked for (`after`), and why it was not
        done.
        """
        self.record(replace(change, outcome=Outcome.REFUSED, reason=str(error)))

    def list(
        self,
        tenant: str | None = None,
        *,
        task: str | None = None,
        target: str | None = None,
        since: float | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[AuditEvent]:
        """The newest that fit, oldest first; of all tenants where none is named. `before` is the
        sequence number of a tenant's oldest event on the page before.
        """
        table = AUDIT_EVENT.c
        query = sa.select(table.document, table.hash).limit(limit)
        for column, value in ((table.tenant, tenant), (table.task, task), (table.target, target)):
            if value is not None:
                query = query.where(column == value)
        if since is not None:
            query = query.where(table.at >= since)
        if before is not None:
            query = query.where(table.sequence < before)
        order = [table.sequence] if tenant is not None else [table.at, table.tenant, table.sequence]
        with self._database.read() as db:
            rows = db.execute(query.order_by(*(each.desc() for each in order))).all()
        return [_parse(*row) for row in reversed(rows)]

    def find_first(self, tenant: str, target: str, action: str) -> AuditEvent | None:
        """The first event of this kind: who submitted a job, who uploaded a file."""
        table = AUDIT_EVENT.c
        mine = (table.tenant == tenant) & (table.target == target[:MAX_TARGET])
        query = sa.select(table.document, table.hash).where(mine, table.action == action)
        with self._database.read() as db:
            row = db.execute(query.order_by(table.sequence).limit(1)).one_or_none()
        return None if row is None else _parse(*row)


class _Pending:
    """The changes of one transaction, which become rows at its end: whoever writes to a chain keeps
    all other writers of its tenant waiting until the commit.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changes: list[tuple[Change, Actor, float]] = []

    def add(self, change: Change, actor: Actor, at: float) -> None:
        self._changes.append((change, actor, at))

    def __call__(self, db: sa.Connection) -> None:
        # in the order of tenants: no two writers wait for each other
        ordered = sorted(self._changes, key=_tenant_of)
        for tenant, changes in groupby(ordered, key=_tenant_of):
            self._database.lock(db, f"audit {tenant}")
            _append(db, tenant, list(changes))


def _append(db: sa.Connection, tenant: str, changes: Sequence[tuple[Change, Actor, float]]) -> None:
    """The caller holds the lock of the tenant's chain."""
    mine = AUDIT_HEAD.c.tenant == tenant
    head = db.execute(sa.select(AUDIT_HEAD).where(mine)).one_or_none()
    sequence, previous = (0, GENESIS) if head is None else (head.sequence, head.hash)
    for change, actor, at in changes:
        sequence += 1
        event = AuditEvent(change=change, actor=actor, at=at, sequence=sequence, previous=previous)
        row = _row(event)
        db.execute(sa.insert(AUDIT_EVENT).values(row))
        previous = row["hash"]
    values = {"sequence": sequence, "hash": previous}
    if head is None:
        db.execute(sa.insert(AUDIT_HEAD).values(tenant=tenant, **values))
    else:
        db.execute(sa.update(AUDIT_HEAD).where(mine).values(values))


def _storable(change: Change) -> Change:
    """A damaged record may name a task that no column can hold, and is recorded all the same."""
    return replace(
        change,
        task=_storable_text(change.task)[:MAX_TASK],
        target=_storable_text(change.target)[:MAX_TARGET],
    )


def _storable_text(text: str) -> str:
    """PostgreSQL stores no NUL, and UTF-8 has no half of a pair of surrogates."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _row(event: AuditEvent) -> dict[str, Any]:
    text = event.text
    return {**columns_of(event), "document": text, "hash": hash_row(text)}


def _tenant_of(recorded: tuple[Change, Actor, float]) -> str:
    return recorded[0].tenant


def columns_of(event: AuditEvent) -> Mapping[str, Any]:
    """The columns by which a row is found; they repeat what its document says."""
    change = event.change
    return {
        "tenant": change.tenant,
        "sequence": event.sequence,
        "at": event.at,
        "action": change.action,
        "task": change.task,
        "target": change.target,
    }


def _parse(text: str, recorded_hash: str) -> AuditEvent:
    try:
        return AuditEvent.parse(text, recorded_hash)
    except (ValueError, TypeError, KeyError) as error:
        raise StorageError(
            "a row of the audit log cannot be read; run `adapterd audit verify`"
        ) from error


def read_rows(db: sa.Connection, tenant: str | None = None) -> Iterator[sa.Row[Any]]:
    """Every row, chain by chain, in pages."""
    table = AUDIT_EVENT.c
    query = sa.select(AUDIT_EVENT).order_by(table.tenant, table.sequence).limit(_PAGE)
    if tenant is not None:
        query = query.where(table.tenant == tenant)
    after: tuple[str, int] | None = None
    while True:
        page = query
        if after is not None:
            page = page.where(sa.tuple_(table.tenant, table.sequence) > after)
        rows = db.execute(page).all()
        yield from rows
        if len(rows) < _PAGE:
            return
        after = (rows[-1].tenant, rows[-1].sequence)
