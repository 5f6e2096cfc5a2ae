"""Maps rows of the trainer's tables to values, and builds the queries that several tables share."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from trainer.jobs.schema import JOBS, NOTES
from trainer.jobs.values import FileRecord

#: columns of the table of files; a file's name is in a table of its own
FILE_FIELDS = tuple(FileRecord.__dataclass_fields__.keys() - {"name"})

#: after all that an id may contain
_LAST_CHARACTER = "\U0010ffff"


def has_id(table: sa.Table, tenant: str, row_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.tenant == tenant, table.c.id == row_id)


def page_of(
    table: sa.Table,
    tenant: str,
    after: str | None,
    limit: int,
    *,
    id_prefix: str = "",
    oldest_first: bool = False,
) -> sa.Select[Any]:
    """Newest first; `after` is the last id of the previous page."""
    seq = table.c.seq
    page = table.select().where(table.c.tenant == tenant).limit(limit)
    if id_prefix:
        # a range instead of LIKE, which ignores case, uses no index and refuses long patterns
        page = page.where(table.c.id >= id_prefix, table.c.id < f"{id_prefix}{_LAST_CHARACTER}")
    page = page.order_by(seq if oldest_first else seq.desc())
    if after is None:
        return page
    last = sa.select(seq).where(has_id(table, tenant, after)).scalar_subquery()
    return page.where(seq > last if oldest_first else seq < last)


def file_of(row: sa.Row[Any]) -> FileRecord:
    return FileRecord(
        **{name: getattr(row, name) for name in FILE_FIELDS}, name=row.given_name or ""
    )


def has_note(name: str, value: str) -> sa.ColumnElement[bool]:
    """Jobs with this entry in their metadata."""
    of_job = sa.and_(NOTES.c.tenant == JOBS.c.tenant, NOTES.c.job_id == JOBS.c.id)
    mine = sa.and_(of_job, NOTES.c.key == name, NOTES.c.value == value)
    return sa.exists(sa.select(sa.literal(1)).select_from(NOTES).where(mine))
