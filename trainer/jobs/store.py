"""All SQL about jobs: their states, with leases and fencing tokens. Knows no bytes and no engine.

Every change of a running job carries the token of its claim, so a worker whose lease was taken over
changes nothing. Every change of a state adds an event in the same transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from trainer.errors import LeaseLost
from trainer.jobs.changes import JobChanges
from trainer.jobs.claim_order import end_if_damaged, next_waiting
from trainer.jobs.database import Database
from trainer.jobs.event_table import EventTable, add_events
from trainer.jobs.events import Event
from trainer.jobs.file_table import FileTable, must_exist
from trainer.jobs.recovery import is_stuck, state_after_loss, state_after_pause
from trainer.jobs.row_mapping import has_id, has_note, page_of
from trainer.jobs.schema import JOB_FILES, JOBS
from trainer.jobs.states import ENDS, JobSignal, Phase, Status
from trainer.jobs.stored_job import job_of
from trainer.jobs.transitions import (
    add_event,
    one_job,
    same_job,
    transition,
    unfinished_job,
    update,
)
from trainer.jobs.values import Claim, Job, JobSpec

_AT_REST: dict[str, Any] = {"eta_s": None, "lease_until": None}


class JobStore:
    """Jobs in one SQLite database, with their files and events. Safe to use from several threads
    and processes.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        #: the time that rows and events are dated with
        self.clock = clock
        self.files = FileTable(database)
        self.changes = JobChanges(database)
        self._events = EventTable(database)

    @classmethod
    def open(cls, path: Path, clock: Callable[[], float] = time.time) -> JobStore:
        return cls(Database.open(path), clock)

    def close(self) -> None:
        self._database.close()

    # ------------------------------------------------------------ the owner's side

    def submit(self, job_id: str, spec: JobSpec) -> Job:
        """Queue a job. Raises UnknownFile when one of its files was deleted meanwhile."""
        row = {
            "id": job_id,
            "tenant": spec.tenant,
            "spec": spec.to_json(),
            "status": Status.QUEUED,
            "phase": Phase.WAITING,
            "created_at": self.clock(),
            "result": {},
        }
        with self._database.write() as db:
            for file_id in spec.file_ids:
                must_exist(db, spec.tenant, file_id)
            db.execute(JOBS.insert().values(row))
            links = [
                {"tenant": spec.tenant, "job_id": job_id, "file_id": each}
                for each in set(spec.file_ids)
            ]
            db.execute(JOB_FILES.insert(), links)
            job = one_job(db, spec.tenant, job_id)
            add_event(db, job, "job.queued", "The job is queued.", self.clock())
        return self.job(spec.tenant, job_id)

    def job(self, tenant: str, job_id: str) -> Job:
        with self._database.read() as db:
            return job_of(one_job(db, tenant, job_id))

    def list_jobs(
        self,
        tenant: str,
        after: str | None,
        limit: int,
        metadata: Mapping[str, str] | None = None,
        id_prefix: str = "",
    ) -> list[Job]:
        """Newest first; with `metadata`, only jobs that have these entries in their own."""
        page = page_of(JOBS, tenant, after, limit, id_prefix=id_prefix)
        for name, value in (metadata or {}).items():
            page = page.where(has_note(name, value))
        with self._database.read() as db:
            return [job_of(row) for row in db.execute(page)]

    def list_events(self, tenant: str, job_id: str, **page: Any) -> list[Event]:
        """A page as `EventTable.list` has it. Raises UnknownJob."""
        self.job(tenant, job_id)
        return self._events.list(tenant, job_id, **page)

    def unfinished_ids(self) -> set[str]:
        """Jobs of all tenants that have not ended, whose checkpoints the sweep must keep."""
        with self._database.read() as db:
            ended = [status for status in Status if status.ended]
            unfinished_job = sa.select(JOBS.c.id).where(JOBS.c.status.not_in(ended))
            return set(db.execute(unfinished_job).scalars())

    def count_jobs(self) -> dict[str, int]:
        """Jobs of every tenant by status, for metrics."""
        query = sa.select(JOBS.c.status, sa.func.count()).group_by(JOBS.c.status)
        with self._database.read() as db:
            counts = {str(status): int(count) for status, count in db.execute(query)}
        return {status: counts.get(status, 0) for status in Status}

    def cancel(self, tenant: str, job_id: str) -> Job:
        """A queued or paused job ends now, a running one after its current step. Raises
        JobEnded.
        """
        with self._database.write() as db:
            row = unfinished_job(db, tenant, job_id)
            if row.status == Status.RUNNING:
                update(db, same_job(row), cancel_requested=True)
                add_event(
                    db,
                    row,
                    "job.cancelling",
                    "The worker ends the job after its current step.",
                    self.clock(),
                )
            else:
                now = self.clock()
                end = {"phase": Phase.DONE, "finished_at": now}
                transition(db, same_job(row), Status.CANCELLED, ENDS[Status.CANCELLED], now, **end)
        return self.job(tenant, job_id)

    def pause(self, tenant: str, job_id: str) -> Job:
        """A queued job is paused now, a running one after its current step; a paused one stays
        paused. Raises JobEnded.
        """
        with self._database.write() as db:
            row = unfinished_job(db, tenant, job_id)
            if row.status == Status.RUNNING:
                update(db, same_job(row), pause_requested=True)
                add_event(
                    db,
                    row,
                    "job.pausing",
                    "The worker pauses the job after its current step.",
                    self.clock(),
                )
            elif row.status == Status.QUEUED:
                transition(db, same_job(row), Status.PAUSED, "The job was paused.", self.clock())
        return self.job(tenant, job_id)

    def resume(self, tenant: str, job_id: str) -> Job:
        """Also withdraws a request to pause; a job that is queued or running stays as it is. Raises
        JobEnded.
        """
        with self._database.write() as db:
            row = unfinished_job(db, tenant, job_id)
            if row.status == Status.PAUSED:
                transition(
                    db,
                    same_job(row),
                    Status.QUEUED,
                    "The job is queued again.",
                    self.clock(),
                )
            update(db, same_job(row), pause_requested=False)
        return self.job(tenant, job_id)

    # ------------------------------------------------------------ the worker's side

    def claim(self, worker: str, lease_s: float) -> Claim | None:
        """The oldest job that is queued or whose worker was lost; None when there is none.

        A job that cannot be read is ended, and one of a newer release is left to a newer worker.
        """
        with self._database.write() as db:
            self._recover_lost_jobs(db)
            row = next_waiting(db, self.clock())
            if row is None:
                return None
            attempt, token = row.attempt + 1, row.token + 1
            transition(
                db,
                same_job(row),
                Status.RUNNING,
                f"The job started (attempt {attempt}).",
                self.clock(),
                phase=Phase.VALIDATING,
                worker=worker,
                progress=0.0,
                attempt=attempt,
                token=token,
                lease_until=self.clock() + lease_s,
            )
            return Claim(job=job_of(one_job(db, row.tenant, row.id)), token=token)

    def beat(
        self, claim: Claim, lease_s: float, events: Sequence[Event] = (), **values: Any
    ) -> JobSignal | None:
        """Renew the lease and store new values and events; returns what the job's owner asked for
        meanwhile. Raises LeaseLost.
        """
        until = self.clock() + lease_s
        with self._database.write() as db:
            # without values there is no new revision: nothing that a watcher sees has changed
            values = values or {"revision": JOBS.c.revision}
            _must_hold(update(db, _is_held(claim), lease_until=until, **values), claim)
            add_events(db, claim.job.tenant, claim.job.id, events)
            row = one_job(db, claim.job.tenant, claim.job.id)
        if row.cancel_requested:
            return JobSignal.CANCEL
        return JobSignal.PAUSE if row.pause_requested else None

    def finish(self, claim: Claim, status: Status, **values: Any) -> None:
        """End the job, once. Raises LeaseLost."""
        assert status.ended
        end = {"phase": Phase.DONE, **_AT_REST, "finished_at": self.clock(), **values}
        self._end_claim(claim, status, values.get("error_message") or ENDS[status], **end)

    def give_back(self, claim: Claim, *, keep_attempt: bool) -> None:
        """Return the job to the queue, without its progress; `keep_attempt` when the attempt counts
        against the job. Raises LeaseLost.
        """
        attempt = claim.job.attempt if keep_attempt else claim.job.attempt - 1
        back = {"phase": Phase.WAITING, "progress": 0.0, "attempt": attempt, **_AT_REST}
        self._end_claim(claim, Status.QUEUED, "The job was returned to the queue.", **back)

    def may_try_again(self, claim: Claim) -> bool:
        """Whether another attempt may succeed after one that ended with its engine."""
        with self._database.read() as db:
            return not is_stuck(db, one_job(db, claim.job.tenant, claim.job.id))

    def set_aside(self, claim: Claim) -> None:
        """Pause the job with its progress, or do what its owner asked for meanwhile; the attempt
        does not count. Raises LeaseLost.
        """
        with self._database.write() as db:
            row = one_job(db, claim.job.tenant, claim.job.id)
            after, now = state_after_pause(row, self.clock()), self.clock()
            changed = transition(
                db, _is_held(claim), after.status, after.message, now, **_AT_REST, **after.values
            )
            _must_hold(changed, claim)

    # ------------------------------------------------------------ moves

    def _end_claim(self, claim: Claim, target: Status, message: str, **values: Any) -> None:
        with self._database.write() as db:
            _must_hold(
                transition(db, _is_held(claim), target, message, self.clock(), **values), claim
            )

    def _recover_lost_jobs(self, db: sa.Connection) -> None:
        now = self.clock()
        lost = sa.and_(JOBS.c.status == Status.RUNNING, JOBS.c.lease_until < now)
        for row in db.execute(JOBS.select().where(lost)).all():
            if end_if_damaged(db, row, now):
                continue
            after = state_after_loss(db, row, now)
            transition(
                db, same_job(row), after.status, after.message, now, **_AT_REST, **after.values
            )


def _is_held(claim: Claim) -> sa.ColumnElement[bool]:
    mine = has_id(JOBS, claim.job.tenant, claim.job.id)
    return sa.and_(mine, JOBS.c.token == claim.token, JOBS.c.status == Status.RUNNING)


def _must_hold(num_changed: int, claim: Claim) -> None:
    if not num_changed:
        raise LeaseLost(f"The job {claim.job.id!r} was taken over by another worker, or has ended.")
