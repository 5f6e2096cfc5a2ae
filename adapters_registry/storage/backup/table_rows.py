"""Every table as JSON lines, in a form that SQLite and PostgreSQL share, and back. The tables are
those that the database has, whoever made them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import sqlalchemy as sa

from adapters_registry.errors import BackupUnusable
from adapters_registry.storage import schema
from adapters_registry.storage.database_engines import is_sqlite

#: made anew by the steps of the schema, or of no use to anybody later; whoever reads a backup could
#: sign links with the secret, and servers draw another one
_LEFT_OUT = frozenset(
    {"alembic_version", "schema_compatibility", "collection_hold", "server_secret"}
)
_ROWS = 500


def reflect(db: sa.Connection) -> list[sa.Table]:
    """The tables of ours with what they hold, each after those that it refers to. Raises
    WrongSchema where a newer release made them.
    """
    revision = schema.read_revision(db)
    ours = set() if revision is None else schema.list_tables(revision) - _LEFT_OUT
    metadata = sa.MetaData()
    metadata.reflect(bind=db, only=lambda name, _: name in ours)
    return metadata.sorted_tables


def has_rows(db: sa.Connection) -> bool:
    """Whether any tenant has something; what operators did to the storage is nobody's."""
    return any(
        db.execute(sa.select(table.c.tenant).where(table.c.tenant != "").limit(1)).first()
        for table in reflect(db)
        if "tenant" in table.c
    )


def dump(db: sa.Connection, table: sa.Table) -> Iterator[bytes]:
    """A line for each row, in the order of its key."""
    query = sa.select(table).order_by(*table.primary_key.columns)
    rows = db.execute(query.execution_options(yield_per=_ROWS)).mappings()
    yield from encode(dict(row) for row in rows)


def encode(rows: Iterable[Mapping[str, object]]) -> Iterator[bytes]:
    for row in rows:
        yield json.dumps(row, ensure_ascii=False).encode() + b"\n"


def load(db: sa.Connection, table: sa.Table, lines: Iterable[bytes]) -> int:
    """Into the table, which is empty. Raises BackupUnusable on rows that do not fit it."""
    rows = (json.loads(line) for line in lines)
    num_rows = 0
    db.execute(sa.delete(table))  # what the steps of the schema put there is in the backup too
    while some := list(islice(rows, _ROWS)):
        _check(table, some[0])
        db.execute(sa.insert(table), some)
        num_rows += len(some)
    if not is_sqlite(db):
        _count_on(db, table)
    return num_rows


def _check(table: sa.Table, row: dict[str, Any]) -> None:
    if unknown := sorted(set(row) - set(table.c.keys())):
        raise BackupUnusable(
            f"the backup's rows of {table.name} have the columns {', '.join(unknown)}, which this "
            "release does not know; restore with the release that made the backup"
        )


def _count_on(db: sa.Connection, table: sa.Table) -> None:
    """A sequence goes on after the highest number that was loaded."""
    for column in table.primary_key.columns:
        names = {"table": table.name, "column": column.name}
        answer = db.execute(sa.text("SELECT pg_get_serial_sequence(:table, :column)"), names)
        if (sequence := answer.scalar()) is not None:
            highest = sa.select(sa.func.coalesce(sa.func.max(column), 0) + 1).scalar_subquery()
            db.execute(sa.select(sa.func.setval(sequence, highest, sa.false())))
