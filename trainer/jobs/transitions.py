"""Finds and updates the row of a job, and moves it to another state together with an event. Knows
no leases; every function runs within its caller's transaction.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from trainer.errors import JobEnded, UnknownJob, UnreadableJob
from trainer.jobs.event_table import add_events
from trainer.jobs.events import Event
from trainer.jobs.row_mapping import has_id
from trainer.jobs.schema import JOBS
from trainer.jobs.states import Status, sources


def one_job(db: sa.Connection, tenant: str, job_id: str) -> sa.Row[Any]:
    row = db.execute(JOBS.select().where(has_id(JOBS, tenant, job_id))).one_or_none()
    if row is None:
        raise UnknownJob(f"There is no job {job_id!r}.")
    return row


def unfinished_job(db: sa.Connection, tenant: str, job_id: str) -> sa.Row[Any]:
    """Raises JobEnded, and UnreadableJob where its status is unknown."""
    row = one_job(db, tenant, job_id)
    if row.status not in set(Status):
        raise UnreadableJob(
            f"The job {job_id!r} has the status {row.status!r}, which this release does not know, "
            "so it cannot change the job."
        )
    if Status(row.status).ended:
        raise JobEnded(f"The job {job_id!r} has already ended: its status is {row.status}.")
    return row


def same_job(row: sa.Row[Any]) -> sa.ColumnElement[bool]:
    return has_id(JOBS, row.tenant, row.id)


def update(db: sa.Connection, where: sa.ColumnElement[bool], **values: Any) -> int:
    changed = JOBS.update().where(where).values(**{"revision": JOBS.c.revision + 1, **values})
    return db.execute(changed).rowcount


def transition(
    db: sa.Connection,
    where: sa.ColumnElement[bool],
    target: Status,
    message: str,
    at: float,
    **values: Any,
) -> int:
    """Moves the one job that matches `where`; returns 0 where none may move to `target`."""
    legal = sa.and_(where, JOBS.c.status.in_(sources(target)))
    row = db.execute(JOBS.select().where(legal)).one_or_none()
    if row is None:
        return 0
    error = values.get("error_code")
    level, data = ("error", {"error": error}) if error else ("info", {})
    add_event(db, row, f"job.{target}", message, at, level, **data)
    return update(db, legal, status=target, **values)


def add_event(
    db: sa.Connection,
    row: sa.Row[Any],
    code: str,
    message: str,
    at: float,
    level: str = "info",
    **data: Any,
) -> None:
    event = Event(code=code, message=message, created_at=at, level=level, data=data)
    add_events(db, row.tenant, row.id, [event])
