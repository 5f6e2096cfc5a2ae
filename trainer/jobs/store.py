"""All SQL about jobs: their states, with leases and fencing tokens. Knows no bytes and no engine.

Every change of a running job carries the token of its claim, so a worker whose lease was taken over
changes nothing. Every change of a state adds an event in the same transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from adapters_registry.storage.blob_table import chunks
from adapters_registry.storage.database import Database
from trainer.jobs.changes import JOBS_CHANGED, JobChanges
from trainer.jobs.checkpoint_table import CheckpointTable
from trainer.jobs.claim_order import AT_REST, next_waiting, recover_lost_jobs
from trainer.jobs.database import JobDatabase, LeaseClock
from trainer.jobs.event_table import EventTable, add_events
from trainer.jobs.events import Event
from trainer.jobs.file_table import FileTable, must_exist
from trainer.jobs.recovery import is_stuck, state_after_pause
from trainer.jobs.row_mapping import has_note, page_of
from trainer.jobs.schema import FILES, JOB_FILES, JOBS, NOTES
from trainer.jobs.sightings import Sightings
from trainer.jobs.states import ENDS, JobSignal, Phase, Status
from trainer.jobs.stored_job import job_of
from trainer.jobs.transitions import (
    add_event,
    is_held,
    must_hold,
    one_job,
    record_change,
    same_job,
    transition,
    unfinished_job,
    update,
)
from trainer.jobs.values import Claim, Job, JobSpec

#: what the audit log calls the submission of a job
SUBMITTED = "job.submit"


class JobStore:
    """Jobs in the shared database, with their files and events. Safe to use from several threads
    and processes.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] = time.time,
        *,
        lease_clock: LeaseClock | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Leases are dated by the clock that all workers share, unless another one is given."""
        self._database = JobDatabase(database)
        #: the time that rows and events are dated with
        self.clock = clock
        self._lease_clock = lease_clock or self._database.lease_clock(clock)
        self._sightings = Sightings(monotonic)
        self._audit = self._database.audit_log(clock)
        self.files = FileTable(self._database, self._audit)
        self.checkpoints = CheckpointTable(self._database)
        self.changes = JobChanges(self._database)
        self._events = EventTable(self._database)

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
            for file_id in sorted(set(spec.file_ids)):
                must_exist(db, spec.tenant, file_id)
            db.execute(JOBS.insert().values(row))
            _add_links(db, job_id, spec)
            job = one_job(db, spec.tenant, job_id)
            add_event(db, job, "job.queued", "The job is queued.", self.clock())
            record_change(self._audit, job, "submit", after={"status": job.status})
            self._database.announce(JOBS_CHANGED)
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

    def find_erased(self, job_ids: Sequence[str]) -> set[str]:
        """Of jobs of all tenants, those that have no row, and those of which a file is gone."""
        return {each for some in chunks(job_ids) for each in self._find_erased(some)}

    def _find_erased(self, job_ids: Sequence[str]) -> set[str]:
        is_there = sa.select(JOBS.c.id).where(JOBS.c.id.in_(job_ids))
        file = FILES.c.id == JOB_FILES.c.file_id
        lacks_one = sa.select(JOB_FILES.c.job_id).outerjoin(FILES, file).where(FILES.c.id.is_(None))
        with self._database.read() as db:
            gone = set(job_ids) - set(db.execute(is_there).scalars())
            mine = lacks_one.where(JOB_FILES.c.job_id.in_(job_ids))
            return gone | set(db.execute(mine).scalars())

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
                words = "The worker ends the job after its current step."
                self._request(db, row, "cancel", "job.cancelling", words, cancel_requested=True)
            else:
                end = {"phase": Phase.DONE, "finished_at": self.clock()}
                self._move(db, same_job(row), Status.CANCELLED, ENDS[Status.CANCELLED], **end)
        return self.job(tenant, job_id)

    def pause(self, tenant: str, job_id: str) -> Job:
        """A queued job is paused now, a running one after its current step; a paused one stays
        paused. Raises JobEnded.
        """
        with self._database.write() as db:
            row = unfinished_job(db, tenant, job_id)
            if row.status == Status.RUNNING:
                words = "The worker pauses the job after its current step."
                self._request(db, row, "pause", "job.pausing", words, pause_requested=True)
            elif row.status == Status.QUEUED:
                self._move(db, same_job(row), Status.PAUSED, "The job was paused.")
        return self.job(tenant, job_id)

    def resume(self, tenant: str, job_id: str) -> Job:
        """Also withdraws a request to pause; a job that is queued or running stays as it is. Raises
        JobEnded.
        """
        with self._database.write() as db:
            row = unfinished_job(db, tenant, job_id)
            if row.status == Status.PAUSED:
                words = "The job is queued again."
                self._move(db, same_job(row), Status.QUEUED, words, action="resume")
                self._database.announce(JOBS_CHANGED)
            elif row.pause_requested:
                record_change(self._audit, row, "resume", after={"pause_requested": False})
            update(db, same_job(row), pause_requested=False)
        return self.job(tenant, job_id)

    # ------------------------------------------------------------ the worker's side

    def claim(self, worker: str, lease_s: float) -> Claim | None:
        """The oldest job that is queued or whose worker was lost, which two looks tell; None when
        there is none.

        A job that cannot be read is ended, and one of a newer release is left to a newer worker.
        """
        with self._database.write() as db:
            now, lease_now = self.clock(), self._lease_clock(db)
            recover_lost_jobs(db, self._audit, self._sightings, lease_now, now, lease_s)
            row = next_waiting(db, self._audit, now)
            if row is None:
                return None
            attempt, token = row.attempt + 1, row.token + 1
            self._move(
                db,
                same_job(row),
                Status.RUNNING,
                f"The job started (attempt {attempt}).",
                phase=Phase.VALIDATING,
                worker=worker,
                progress=0.0,
                attempt=attempt,
                token=token,
                lease_until=lease_now + lease_s,
            )
            return Claim(job=job_of(one_job(db, row.tenant, row.id)), token=token)

    def beat(
        self, claim: Claim, lease_s: float, events: Sequence[Event] = (), **values: Any
    ) -> JobSignal | None:
        """Renew the lease and store new values and events; returns what the job's owner asked for
        meanwhile. Raises LeaseLost.
        """
        with self._database.write() as db:
            until = self._lease_clock(db) + lease_s
            # without values there is no new revision: nothing that a watcher sees has changed
            values = values or {"revision": JOBS.c.revision}
            must_hold(update(db, is_held(claim), lease_until=until, **values), claim)
            add_events(db, claim.job.tenant, claim.job.id, events)
            row = one_job(db, claim.job.tenant, claim.job.id)
        if row.cancel_requested:
            return JobSignal.CANCEL
        return JobSignal.PAUSE if row.pause_requested else None

    def finish(self, claim: Claim, status: Status, **values: Any) -> None:
        """End the job, once. Raises LeaseLost."""
        assert status.ended
        end = {"phase": Phase.DONE, **AT_REST, "finished_at": self.clock(), **values}
        self._end_claim(claim, status, values.get("error_message") or ENDS[status], **end)

    def give_back(self, claim: Claim, *, keep_attempt: bool) -> None:
        """Return the job to the queue, without its progress; `keep_attempt` when the attempt counts
        against the job. Raises LeaseLost.
        """
        attempt = claim.job.attempt if keep_attempt else claim.job.attempt - 1
        back = {"phase": Phase.WAITING, "progress": 0.0, "attempt": attempt, **AT_REST}
        self._end_claim(claim, Status.QUEUED, "The job was returned to the queue.", **back)
        self._database.announce(JOBS_CHANGED)

    def may_try_again(self, claim: Claim) -> bool:
        """Whether another attempt may succeed after one that ended with its engine."""
        with self._database.read() as db:
            return not is_stuck(db, one_job(db, claim.job.tenant, claim.job.id))

    def set_aside(self, claim: Claim) -> None:
        """Pause the job with its progress, or do what its owner asked for meanwhile; the attempt
        does not count. Raises LeaseLost.
        """
        with self._database.write() as db:
            row = one_job(db, claim.job.tenant, claim.job.id, hold=True)
            after = state_after_pause(row, self.clock())
            values = {**AT_REST, **after.values}
            must_hold(self._move(db, is_held(claim), after.status, after.message, **values), claim)

    # ------------------------------------------------------------ moves

    def _end_claim(self, claim: Claim, target: Status, message: str, **values: Any) -> None:
        with self._database.write() as db:
            must_hold(self._move(db, is_held(claim), target, message, **values), claim)

    def _move(
        self,
        db: sa.Connection,
        where: sa.ColumnElement[bool],
        target: Status,
        message: str,
        **values: Any,
    ) -> int:
        return transition(db, self._audit, where, target, message, self.clock(), **values)

    def _request(
        self, db: sa.Connection, row: sa.Row[Any], action: str, code: str, words: str, **flag: bool
    ) -> None:
        """Of a running job, whose worker does it."""
        update(db, same_job(row), **flag)
        add_event(db, row, code, words, self.clock())
        record_change(self._audit, row, action, after=flag)


def _add_links(db: sa.Connection, job_id: str, spec: JobSpec) -> None:
    """To its files, and from its notes."""
    of_job = {"tenant": spec.tenant, "job_id": job_id}
    db.execute(JOB_FILES.insert(), [{**of_job, "file_id": each} for each in set(spec.file_ids)])
    if spec.metadata:
        notes = [{**of_job, "key": key, "value": value} for key, value in spec.metadata.items()]
        db.execute(NOTES.insert(), notes)
