"""Rows of the trainer's tables as values, and the selects that every kind of row shares."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from trainer.jobs import Phase, Status
from trainer.values import FileRecord, Job, JobSpec

FILE_FIELDS = tuple(FileRecord.__dataclass_fields__)
JOB_FIELDS = tuple(Job.__dataclass_fields__)


def owned(table: sa.Table, tenant: str, row_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.tenant == tenant, table.c.id == row_id)


def page_of(
    table: sa.Table, tenant: str, after: str | None, limit: int, *, oldest_first: bool = False
) -> sa.Select[Any]:
    """Newest first; `after` is the last id of the page before."""
    seq = table.c.seq
    found = table.select().where(table.c.tenant == tenant).limit(limit)
    found = found.order_by(seq if oldest_first else seq.desc())
    if after is None:
        return found
    last = sa.select(seq).where(owned(table, tenant, after)).scalar_subquery()
    return found.where(seq > last if oldest_first else seq < last)


def file_of(row: sa.Row[Any]) -> FileRecord:
    return FileRecord(**{name: getattr(row, name) for name in FILE_FIELDS})


def job_of(row: sa.Row[Any]) -> Job:
    values = {name: getattr(row, name) for name in JOB_FIELDS}
    values |= {
        "spec": JobSpec.from_json(row.spec),
        "status": Status(row.status),
        "phase": Phase(row.phase),
    }
    return Job(**values)
