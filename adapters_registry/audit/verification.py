"""Walks the chains of the audit log and names the first row that is not as it was written. Changes
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from adapters_registry.audit.audit_event import GENESIS, AuditEvent, hash_row
from adapters_registry.audit.audit_log import columns_of, read_rows
from adapters_registry.audit.tables import AUDIT_HEAD
from adapters_registry.storage.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of a tenant's chain. Kept elsewhere, it tells later whether rows were cut off, or all
    were written anew.
    """

    tenant: str
    sequence: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """The first row of a chain that is not as it was written."""

    tenant: str
    sequence: int
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a walk over the chains found; the faults are at most one for each chain."""

    num_rows: int
    heads: tuple[Head, ...]
    faults: tuple[Fault, ...]


def list_heads(database: Database, tenant: str | None = None) -> list[Head]:
    with database.read() as db:
        return _heads(db, tenant)


def verify(
    database: Database, tenant: str | None = None, kept: Iterable[Head] = ()
) -> Verification:
    """Every chain, or the tenant's, in one snapshot. The `kept` heads are from an earlier time:
    each must be a row of its chain now.
    """
    walks: dict[str, _Walk] = {}
    expected = {(head.tenant, head.sequence): head.hash for head in kept}
    num_rows = 0
    with database.read() as db:
        heads = _heads(db, tenant)
        for row in read_rows(db, tenant):
            num_rows += 1
            walk = walks.setdefault(row.tenant, _Walk(row.tenant))
            walk.see(row, expected.pop((row.tenant, row.sequence), None))
    for head in heads:
        walks.setdefault(head.tenant, _Walk(head.tenant)).end(head)
    headless = walks.keys() - {head.tenant for head in heads}
    for name in headless:
        walks[name].fail(walks[name].sequence, "the chain has rows and no head")
    for missing_tenant, sequence in sorted(expected):
        if tenant is None or missing_tenant == tenant:
            walk = walks.setdefault(missing_tenant, _Walk(missing_tenant))
            walk.fail(sequence, "the row that a head kept elsewhere names is gone")
    faults = tuple(walk.fault for _, walk in sorted(walks.items()) if walk.fault is not None)
    return Verification(num_rows=num_rows, heads=tuple(heads), faults=faults)


class _Walk:
    """Along one chain, until its first fault."""

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self.sequence, self._hash = 0, GENESIS
        self.fault: Fault | None = None

    def see(self, row: sa.Row[Any], kept: str | None) -> None:
        sentence = self._check(row)
        if sentence is None and kept not in (None, row.hash):
            sentence = f"a head kept elsewhere has the hash {kept}, this row has {row.hash}"
        if sentence is not None:
            self.fail(row.sequence, sentence)
        self.sequence, self._hash = row.sequence, row.hash

    def end(self, head: Head) -> None:
        if head.sequence > self.sequence:
            self.fail(
                self.sequence + 1,
                f"the head of the chain is row {head.sequence}, but row {self.sequence} is the "
                "last; rows were removed from its end",
            )
        elif (head.sequence, head.hash) != (self.sequence, self._hash):
            self.fail(
                self.sequence,
                f"the head of the chain is row {head.sequence} with the hash {head.hash}, "
                f"but the last row has {self._hash}",
            )

    def fail(self, sequence: int, sentence: str) -> None:
        if self.fault is None:
            self.fault = Fault(tenant=self._tenant, sequence=sequence, sentence=sentence)

    def _check(self, row: sa.Row[Any]) -> str | None:
        if row.sequence != self.sequence + 1:
            return f"row {self.sequence + 1} of the chain is missing"
        if hash_row(row.document) != row.hash:
            return "its content does not have the hash that was recorded; it was edited"
        try:
            event = AuditEvent.parse(row.document, row.hash)
        except (ValueError, TypeError, KeyError):
            return "its content cannot be read"
        if event.previous != self._hash:
            return (
                f"it follows a row with the hash {event.previous}, but the row before it has "
                f"{self._hash}; a row was inserted, removed or changed before it"
            )
        return _compare_columns(row, columns_of(event))


def _compare_columns(row: sa.Row[Any], columns: Mapping[str, Any]) -> str | None:
    wrong = [name for name, value in columns.items() if getattr(row, name) != value]
    if not wrong:
        return None
    return (
        f"its {wrong[0]} is {getattr(row, wrong[0])!r}, but its content says {columns[wrong[0]]!r}"
    )


def _heads(db: sa.Connection, tenant: str | None) -> list[Head]:
    query = sa.select(AUDIT_HEAD).order_by(AUDIT_HEAD.c.tenant)
    if tenant is not None:
        query = query.where(AUDIT_HEAD.c.tenant == tenant)
    return [Head(**row._mapping) for row in db.execute(query)]
