"""A job's row: found, changed, and moved to another state with the event that tells of it. Knows
nothing of leases; every function runs within its caller's transaction.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from trainer.errors import JobEnded, UnknownJob, UnreadableJob
from trainer.jobs.event_table import add_events
from trainer.jobs.events import Event
from trainer.jobs.row_mapping import owned
from trainer.jobs.schema import JOBS
from trainer.jobs.states import Status, sources


def one_job(db: sa.Connection, tenant: str, job_id: str) -> sa.Row[Any]:
    row = db.execute(JOBS.select().where(owned(JOBS, tenant, job_id))).one_or_none()
    if row is None:
        raise UnknownJob(f"There is no job {job_id!r}.")
    return row


def unfinished_job(db: sa.Connection, tenant: str, job_id: str) -> sa.Row[Any]:
    """Raises JobEnded, and UnreadableJob where it cannot be told whether it has."""
    row = one_job(db, tenant, job_id)
    if row.status not in set(Status):
        raise UnreadableJob(f"The job {job_id!r} is {row.status!r}, which this release cannot end.")
    if Status(row.status).ended:
        raise JobEnded(f"The job {job_id!r} has already ended: it is {row.status}.")
    return row


def found(row: sa.Row[Any]) -> sa.ColumnElement[bool]:
    return owned(JOBS, row.tenant, row.id)


def update(db: sa.Connection, where: sa.ColumnElement[bool], **values: Any) -> int:
    changed = JOBS.update().where(where).values(**{"revision": JOBS.c.revision + 1, **values})
    return db.execute(changed).rowcount


def transition(
    db: sa.Connection, where: sa.ColumnElement[bool], target: Status, message: str, at: float,
    **values: Any,
) -> int:  # fmt: skip
    """The one job that `where` finds; 0 where there is none that may go there."""
    legal = sa.and_(where, JOBS.c.status.in_(sources(target)))
    row = db.execute(JOBS.select().where(legal)).one_or_none()
    if row is None:
        return 0
    error = values.get("error_code")
    level, data = ("error", {"error": error}) if error else ("info", {})
    add_event(db, row, f"job.{target}", message, at, level, **data)
    return update(db, legal, status=target, **values)


def add_event(
    db: sa.Connection, row: sa.Row[Any], code: str, message: str, at: float, level: str = "info",
    **data: Any,
) -> None:  # fmt: skip
    event = Event(code=code, message=message, created_at=at, level=level, data=data)
    add_events(db, row.tenant, row.id, [event])
