"""All SQL about the checkpoints of jobs: which stored content each file of a run's last checkpoint
has. Knows no bytes, no folder and no engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from trainer.jobs.database import JobDatabase
from trainer.jobs.schema import CHECKPOINTS, JOBS
from trainer.jobs.states import Status
from trainer.jobs.transitions import is_held, must_hold
from trainer.jobs.values import Claim


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointFile:
    """A file of a run's last checkpoint; `token` is that of the claim that wrote it."""

    run: str
    name: str
    sha256: str
    size: int
    token: int


class CheckpointTable:
    """Only the claim that holds a job changes its checkpoints."""

    def __init__(self, database: JobDatabase) -> None:
        self._database = database

    def write(self) -> AbstractContextManager[sa.Connection]:
        """A transaction to replace files in, together with what else belongs to it."""
        return self._database.write()

    def replace(self, claim: Claim, run: str, files: Sequence[CheckpointFile], now: float) -> None:
        """All files of the run's last checkpoint. Raises LeaseLost."""
        of_run = {"tenant": claim.job.tenant, "job_id": claim.job.id, "run": run}
        with self._database.write() as db:
            held = JOBS.select().where(is_held(claim)).with_for_update(read=True)
            must_hold(len(db.execute(held).all()), claim)
            db.execute(CHECKPOINTS.delete().filter_by(**of_run))
            rows = [{**of_run, **asdict(file), "stored_at": now} for file in files]
            db.execute(CHECKPOINTS.insert(), rows)

    def list(self, claim: Claim) -> list[CheckpointFile]:
        """Of all runs of the job, by name."""
        names = [CHECKPOINTS.c[name] for name in CheckpointFile.__dataclass_fields__]
        mine = CHECKPOINTS.c.job_id == claim.job.id, CHECKPOINTS.c.tenant == claim.job.tenant
        query = sa.select(*names).where(*mine).order_by(CHECKPOINTS.c.run, CHECKPOINTS.c.name)
        with self._database.read() as db:
            return [CheckpointFile(**row._mapping) for row in db.execute(query)]

    def drop(self, job_id: str) -> None:
        with self._database.write() as db:
            db.execute(CHECKPOINTS.delete().where(CHECKPOINTS.c.job_id == job_id))

    def drop_ended(self, before: float) -> None:
        """Those of jobs that ended before this time."""
        ended = [status for status in Status if status.ended]
        old = sa.select(JOBS.c.id).where(JOBS.c.status.in_(ended), JOBS.c.finished_at < before)
        with self._database.write() as db:
            db.execute(CHECKPOINTS.delete().where(CHECKPOINTS.c.job_id.in_(old)))
