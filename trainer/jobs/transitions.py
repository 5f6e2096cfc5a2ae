"""Finds and updates the row of a job, and moves it to another state together with an event and a
row of the audit log. Every function runs within its caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from adapters_registry.audit.audit_event import Change
from adapters_registry.audit.audit_log import AuditLog
from trainer.errors import JobEnded, LeaseLost, UnknownJob, UnreadableJob
from trainer.jobs.event_table import add_events
from trainer.jobs.events import Event
from trainer.jobs.row_mapping import has_id
from trainer.jobs.schema import JOBS
from trainer.jobs.states import Status, sources
from trainer.jobs.values import Claim

#: what the audit log calls the move to a state
_ACTIONS: Mapping[Status, str] = {
    Status.QUEUED: "queue",
    Status.RUNNING: "start",
    Status.PAUSED: "pause",
    Status.CANCELLED: "cancel",
    Status.SUCCEEDED: "finish",
    Status.FAILED: "finish",
}
#: the columns that it keeps of a move; no sentence of a failure, which may quote a file's rows
_FACTS = ("attempt", "worker", "version", "digest", "error_code")


def one_job(db: sa.Connection, tenant: str, job_id: str, *, hold: bool = False) -> sa.Row[Any]:
    """To `hold` it: nobody else changes it until the transaction ends."""
    query = JOBS.select().where(has_id(JOBS, tenant, job_id))
    row = db.execute(query.with_for_update() if hold else query).one_or_none()
    if row is None:
        raise UnknownJob(f"There is no job {job_id!r}.")
    return row


def unfinished_job(db: sa.Connection, tenant: str, job_id: str) -> sa.Row[Any]:
    """Held until the transaction ends. Raises JobEnded, and UnreadableJob where its status is
    unknown.
    """
    row = one_job(db, tenant, job_id, hold=True)
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


def is_held(claim: Claim) -> sa.ColumnElement[bool]:
    mine = has_id(JOBS, claim.job.tenant, claim.job.id)
    return sa.and_(mine, JOBS.c.token == claim.token, JOBS.c.status == Status.RUNNING)


def must_hold(num_changed: int, claim: Claim) -> None:
    if not num_changed:
        raise LeaseLost(f"The job {claim.job.id!r} was taken over by another worker, or has ended.")


def update(db: sa.Connection, where: sa.ColumnElement[bool], **values: Any) -> int:
    changed = JOBS.update().where(where).values(**{"revision": JOBS.c.revision + 1, **values})
    return db.execute(changed).rowcount


def transition(
    db: sa.Connection,
    audit: AuditLog,
    where: sa.ColumnElement[bool],
    target: Status,
    message: str,
    at: float,
    *,
    action: str | None = None,
    **values: Any,
) -> int:
    """Moves the one job that matches `where`; returns 0 where none may move to `target`. `action`
    is what the audit log calls it, if not the move to that state.
    """
    legal = sa.and_(where, JOBS.c.status.in_(sources(target)))
    row = db.execute(JOBS.select().where(legal).with_for_update()).one_or_none()
    if row is None:
        return 0
    error = values.get("error_code")
    level, data = ("error", {"error": error}) if error else ("info", {})
    add_event(db, row, f"job.{target}", message, at, level, **data)
    facts = {name: values[name] for name in _FACTS if values.get(name) is not None}
    record_change(
        audit,
        row,
        action or _ACTIONS[target],
        before={"status": row.status},
        after={"status": target, **facts, **_verdict_of(values)},
    )
    return update(db, legal, status=target, **values)


def record_change(
    audit: AuditLog,
    row: sa.Row[Any],
    action: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any],
) -> None:
    """Of a job, whose record may be damaged."""
    task = row.spec.get("task") if isinstance(row.spec, Mapping) else None
    audit.record(
        Change(
            tenant=row.tenant,
            action=f"job.{action}",
            target=row.id,
            task=task if isinstance(task, str) else "",
            before=before,
            after=after,
        )
    )


def _verdict_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Of the report of a job that succeeded."""
    report = (values.get("result") or {}).get("report") or {}
    verdict = report.get("verdict")
    return {"verdict": verdict["decision"]} if verdict else {}


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
