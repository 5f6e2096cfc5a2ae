"""Which job a worker claims next. Every function runs within its caller's transaction.

A job whose record is damaged is ended; one of a newer release is left for a newer worker.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from trainer.jobs.schema import JOBS
from trainer.jobs.states import Phase, Status
from trainer.jobs.stored_job import problem_of
from trainer.jobs.transitions import same_job, transition


def next_waiting(db: sa.Connection, now: float) -> sa.Row[Any] | None:
    """The oldest queued job that this release can run."""
    queued = JOBS.select().where(JOBS.c.status == Status.QUEUED).order_by(JOBS.c.seq).limit(1)
    row = db.execute(queued).one_or_none()
    while row is not None and problem_of(row) is not None:
        end_if_damaged(db, row, now)
        row = db.execute(queued.where(JOBS.c.seq > row.seq)).one_or_none()
    return row


def end_if_damaged(db: sa.Connection, row: sa.Row[Any], now: float) -> bool:
    """Whether the job was ended here, so that no worker claims it again and again."""
    problem = problem_of(row)
    if problem is None or problem.newer:
        return False
    end = {"phase": Phase.DONE, "finished_at": now, "eta_s": None, "lease_until": None}
    error = {"error_code": problem.code, "error_message": str(problem)}
    return bool(transition(db, same_job(row), Status.FAILED, str(problem), now, **end, **error))
