"""Which job a worker claims next, and which it takes from workers that are lost. Every function
runs within its caller's transaction.

A job whose record is damaged is ended; one of a newer release is left for a newer worker.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from adapters_registry.audit.audit_log import AuditLog
from trainer.jobs.recovery import state_after_loss
from trainer.jobs.schema import JOBS
from trainer.jobs.sightings import Sightings
from trainer.jobs.states import Phase, Status
from trainer.jobs.stored_job import problem_of
from trainer.jobs.transitions import same_job, transition

#: the columns of a job that nobody runs
AT_REST: dict[str, Any] = {"eta_s": None, "lease_until": None}


def recover_lost_jobs(
    db: sa.Connection,
    audit: AuditLog,
    sightings: Sightings,
    lease_now: float,
    now: float,
    lease_s: float,
) -> None:
    """`lease_now` is the time that leases are dated with, `now` that of events."""
    running = db.execute(JOBS.select().where(JOBS.c.status == Status.RUNNING)).all()
    leases = {row.id: (row.token, row.lease_until) for row in running}
    lost = sightings.look(leases, lease_now, lease_s)
    for seen in running:
        if seen.id in lost:
            unchanged = sa.and_(
                same_job(seen),
                JOBS.c.status == Status.RUNNING,
                JOBS.c.token == seen.token,
                JOBS.c.lease_until == seen.lease_until,
            )
            # one that is held is being renewed, or recovered by another worker
            held = JOBS.select().where(unchanged).with_for_update(skip_locked=True)
            row = db.execute(held).one_or_none()
            if row is not None and not end_if_damaged(db, audit, row, now):
                after = state_after_loss(db, row, now)
                values = {**AT_REST, **after.values}
                transition(db, audit, same_job(row), after.status, after.message, now, **values)


def next_waiting(db: sa.Connection, audit: AuditLog, now: float) -> sa.Row[Any] | None:
    """The oldest queued job that this release can run, and that nobody else is claiming."""
    queued = JOBS.select().where(JOBS.c.status == Status.QUEUED).order_by(JOBS.c.seq).limit(1)
    queued = queued.with_for_update(skip_locked=True)
    row = db.execute(queued).one_or_none()
    while row is not None and problem_of(row) is not None:
        end_if_damaged(db, audit, row, now)
        row = db.execute(queued.where(JOBS.c.seq > row.seq)).one_or_none()
    return row


def end_if_damaged(db: sa.Connection, audit: AuditLog, row: sa.Row[Any], now: float) -> bool:
    """Whether the job was ended here, so that no worker claims it again and again."""
    problem = problem_of(row)
    if problem is None or problem.newer:
        return False
    end = {"phase": Phase.DONE, "finished_at": now, **AT_REST}
    error = {"error_code": problem.code, "error_message": str(problem)}
    return bool(
        transition(db, audit, same_job(row), Status.FAILED, str(problem), now, **end, **error)
    )
