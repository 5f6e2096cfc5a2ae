"""The next state of a job that was paused or whose worker was lost, by what its owner asked for
meanwhile. Changes no row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from trainer.errors import JobLost
from trainer.jobs.event_table import count_since
from trainer.jobs.events import CHECKPOINT
from trainer.jobs.states import ENDS, MAX_IDLE_ATTEMPTS, Phase, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class NextState:
    """The next state, the message of its event, and the other columns that change."""

    status: Status
    message: str
    values: Mapping[str, Any]


def state_after_pause(row: sa.Row[Any], now: float) -> NextState:
    """Paused, unless its owner cancelled or resumed it before the run stopped."""
    if row.cancel_requested:
        return _cancelled_state(ENDS[Status.CANCELLED], now)
    rest = {"phase": Phase.WAITING, "attempt": row.attempt - 1, "pause_requested": False}
    if row.pause_requested:
        return NextState(status=Status.PAUSED, message="The job was paused.", values=rest)
    message = "The job is queued again."
    return NextState(status=Status.QUEUED, message=message, values=rest)


def state_after_loss(db: sa.Connection, row: sa.Row[Any], now: float) -> NextState:
    """Queued again, unless its last attempts saved nothing."""
    message = "The worker of the job stopped responding."
    if row.cancel_requested:
        return _cancelled_state(message, now)
    if is_stuck(db, row):
        error = JobLost()
        failed = {"error_code": error.code, "error_message": str(error)}
        return NextState(status=Status.FAILED, message=str(error), values={**_end(now), **failed})
    values: dict[str, Any] = {"phase": Phase.WAITING}
    if row.pause_requested:
        values["pause_requested"] = False
        return NextState(status=Status.PAUSED, message=message, values=values)
    return NextState(status=Status.QUEUED, message=message, values=values)


def is_stuck(db: sa.Connection, row: sa.Row[Any]) -> bool:
    """Whether its last attempts saved nothing. Attempts that a pause or shutdown ended do not
    count.
    """
    begun = count_since(db, row.tenant, row.id, f"job.{Status.RUNNING}", CHECKPOINT)
    return min(int(row.attempt), begun) >= MAX_IDLE_ATTEMPTS


def _cancelled_state(message: str, now: float) -> NextState:
    return NextState(status=Status.CANCELLED, message=message, values=_end(now))


def _end(now: float) -> dict[str, Any]:
    return {"phase": Phase.DONE, "finished_at": now}
