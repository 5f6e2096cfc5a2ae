"""Which columns keep blobs: a blob is needed as long as one of them holds its sha256. Knows the
columns only as its composition names them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from adapters_registry.storage.blob_table import BLOB

#: what people know a row by, of those columns that its table has
_NAMES = ("tenant", "task", "number", "role", "id", "filename", "job_id", "run", "name")
_TENANT = "tenant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A row that refers to a blob, as people know it."""

    table: str
    facts: tuple[tuple[str, object], ...]

    def __str__(self) -> str:
        return ", ".join([self.table, *(f"{name} {value}" for name, value in self.facts)])


class References:
    """All columns that hold the sha256 of a blob."""

    def __init__(self, columns: Iterable[sa.Column[str]]) -> None:
        self._columns = tuple(columns)
        assert self._columns, "without references, everything would be collected"

    def holds(self) -> sa.ColumnElement[bool]:
        """Whether something refers to the blob of the row that a statement looks at."""
        return sa.or_(*(self._holds(column) for column in self._columns))

    def list_from(self, db: sa.Connection, after: str, limit: int) -> list[str]:
        """Of all that is referred to, by sha256."""
        queries = (sa.select(c.label("sha256")).distinct().where(c > after) for c in self._columns)
        union = sa.union(*queries).subquery()
        page = sa.select(union.c.sha256).order_by(union.c.sha256).limit(limit)
        return list(db.execute(page).scalars())

    def list_owners(self, db: sa.Connection, sha256: str) -> list[Owner]:
        """Whatever is hurt where the blob is."""
        return [
            Owner(table=column.table.name, facts=tuple(zip(row._fields, row, strict=True)))
            for column in self._columns
            for row in db.execute(sa.select(*_names(column)).where(column == sha256))
        ]

    def list_bytes(self, db: sa.Connection) -> dict[str, int]:
        """What each tenant's rows keep; content of two tenants counts for both."""
        owned = [
            sa.select(column.table.c[_TENANT].label("tenant"), column.label("sha256")).distinct()
            for column in self._columns
            if _TENANT in column.table.c
        ]
        union = sa.union(*owned).subquery()
        total = sa.select(union.c.tenant, sa.func.sum(BLOB.c.size))
        total = total.join(BLOB, BLOB.c.sha256 == union.c.sha256).group_by(union.c.tenant)
        return {tenant: int(size) for tenant, size in db.execute(total)}

    def list_of_tenant(self, db: sa.Connection, tenant: str) -> list[str]:
        """What a tenant's rows refer to; others may do so as well."""
        owned = (column for column in self._columns if _TENANT in column.table.c)
        queries = (sa.select(c.label("sha256")).where(c.table.c[_TENANT] == tenant) for c in owned)
        return sorted(set(db.execute(sa.union_all(*queries)).scalars()))

    def _holds(self, column: sa.Column[str]) -> sa.ColumnElement[bool]:
        return sa.exists().where(column == BLOB.c.sha256)


def _names(column: sa.Column[str]) -> list[sa.ColumnElement[object]]:
    return [column.table.c[name] for name in _NAMES if name in column.table.c]
