"""All SQL of the trainer: uploaded files and jobs, with leases and fencing tokens. Knows no bytes
and no engine.

Every change of a running job carries the token its claim was given; a worker whose lease was taken
over changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from trainer.errors import (
    FileInUse,
    JobEnded,
    JobLost,
    LeaseLost,
    StorageFailed,
    UnknownFile,
    UnknownJob,
)  # fmt: skip
from trainer.jobs import MAX_ATTEMPTS, Phase, Status, sources
from trainer.rows import FILE_FIELDS, file_of, job_of, owned, page_of
from trainer.tables import FILES, JOB_FILES, JOBS, METADATA, sqlite_engine
from trainer.values import Claim, FileRecord, Job, JobSpec


class JobStore:
    """Files and jobs in one SQLite database. Safe to use from several threads and processes."""

    def __init__(self, database: sa.Engine, clock: Callable[[], float] = time.time) -> None:
        self._writes = database
        self._reads = database.execution_options(reads=True)
        self._clock = clock
        METADATA.create_all(self._writes)

    @classmethod
    def open(cls, path: Path, clock: Callable[[], float] = time.time) -> JobStore:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return cls(sqlite_engine(path), clock)
        except (OSError, sa.exc.OperationalError) as error:
            raise StorageFailed(f"The job database {path} cannot be opened: {error}.") from error

    def close(self) -> None:
        self._writes.dispose()

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        try:
            with self._writes.begin() as db:
                yield db
        except sa.exc.OperationalError as error:
            raise StorageFailed(f"The job database cannot be written: {error.orig}.") from error

    # ------------------------------------------------------------ files

    def add_file(self, record: FileRecord) -> None:
        with self._write() as db:
            db.execute(FILES.insert().values({name: getattr(record, name) for name in FILE_FIELDS}))

    def file(self, tenant: str, file_id: str) -> FileRecord:
        with self._reads.begin() as db:
            row = db.execute(FILES.select().where(owned(FILES, tenant, file_id))).one_or_none()
        if row is None:
            raise UnknownFile(f"There is no file {file_id!r}.")
        return file_of(row)

    def list_files(self, tenant: str, after: str | None, limit: int) -> list[FileRecord]:
        with self._reads.begin() as db:
            return [file_of(row) for row in db.execute(page_of(FILES, tenant, after, limit))]

    def delete_file(self, tenant: str, file_id: str) -> None:
        needed = (
            sa.select(JOBS.c.id)
            .join(JOB_FILES, JOB_FILES.c.job_id == JOBS.c.id)
            .where(JOB_FILES.c.file_id == file_id, JOB_FILES.c.tenant == tenant)
            .where(JOBS.c.status.in_([Status.QUEUED, Status.RUNNING]))
        )
        with self._write() as db:
            if (job := db.execute(needed.limit(1)).scalar()) is not None:
                raise FileInUse(f"The file {file_id!r} is needed by the job {job!r}.")
            if not db.execute(FILES.delete().where(owned(FILES, tenant, file_id))).rowcount:
                raise UnknownFile(f"There is no file {file_id!r}.")

    def file_ids(self) -> set[str]:
        """Of every tenant: what the sweep must keep."""
        with self._reads.begin() as db:
            return set(db.execute(sa.select(FILES.c.id)).scalars())

    # ------------------------------------------------------------ jobs

    def submit(self, job_id: str, spec: JobSpec) -> Job:
        """Queue a job. Raises UnknownFile when one of its files went away meanwhile."""
        row = {
            "id": job_id, "tenant": spec.tenant, "spec": spec.to_json(), "status": Status.QUEUED,
            "phase": Phase.WAITING, "created_at": self._clock(), "result": {},
        }  # fmt: skip
        with self._write() as db:
            for file_id in spec.file_ids:
                _must_exist(db, spec.tenant, file_id)
            db.execute(JOBS.insert().values(row))
            links = [
                {"tenant": spec.tenant, "job_id": job_id, "file_id": each}
                for each in set(spec.file_ids)
            ]
            db.execute(JOB_FILES.insert(), links)
        return self.job(spec.tenant, job_id)

    def job(self, tenant: str, job_id: str) -> Job:
        with self._reads.begin() as db:
            return job_of(_one_job(db, tenant, job_id))

    def list_jobs(self, tenant: str, after: str | None, limit: int) -> list[Job]:
        with self._reads.begin() as db:
            return [job_of(row) for row in db.execute(page_of(JOBS, tenant, after, limit))]

    def count_jobs(self) -> dict[str, int]:
        """Jobs of every tenant by status, for metrics."""
        counted = sa.select(JOBS.c.status, sa.func.count()).group_by(JOBS.c.status)
        with self._reads.begin() as db:
            found = {str(status): int(count) for status, count in db.execute(counted)}
        return {status: found.get(status, 0) for status in Status}

    def cancel(self, tenant: str, job_id: str) -> Job:
        """A queued job ends now; a running one as soon as its worker looks. Raises JobEnded."""
        with self._write() as db:
            row = _one_job(db, tenant, job_id)
            status = Status(row.status)
            if status.ended:
                raise JobEnded(f"The job {job_id!r} has already ended: it is {status}.")
            where = owned(JOBS, tenant, job_id)
            if status is Status.QUEUED:
                _update(
                    db, where, status=Status.CANCELLED, phase=Phase.DONE, finished_at=self._clock()
                )
            else:
                _update(db, where, cancel_requested=True)
        return self.job(tenant, job_id)

    # ------------------------------------------------------------ the worker's side

    def claim(self, worker: str, lease_s: float) -> Claim | None:
        """The oldest job that waits, or that was lost with its worker; None when there is none."""
        oldest = JOBS.select().where(JOBS.c.status == Status.QUEUED).order_by(JOBS.c.seq).limit(1)
        with self._write() as db:
            self._take_up_lost(db)
            row = db.execute(oldest).one_or_none()
            if row is None:
                return None
            _update(
                db,
                JOBS.c.id == row.id,
                status=Status.RUNNING,
                phase=Phase.VALIDATING,
                worker=worker,
                progress=0.0,
                attempt=row.attempt + 1,
                token=row.token + 1,
                lease_until=self._clock() + lease_s,
            )
            return Claim(job=job_of(_one_job(db, row.tenant, row.id)), token=row.token + 1)

    def beat(self, claim: Claim, lease_s: float, **news: Any) -> bool:
        """Keep the lease and write what is new; answers whether the job is to be cancelled. Raises
        LeaseLost.
        """
        until = self._clock() + lease_s
        with self._write() as db:
            # without news there is no new revision: nothing that a watcher sees has changed
            news = news or {"revision": JOBS.c.revision}
            _must_hold(_update(db, _held(claim), lease_until=until, **news), claim)
            return bool(_one_job(db, claim.job.tenant, claim.job.id).cancel_requested)

    def finish(self, claim: Claim, status: Status, **values: Any) -> None:
        """End the job, once. Raises LeaseLost."""
        assert status.ended
        end: dict[str, Any] = {
            "phase": Phase.DONE,
            "eta_s": None,
            "lease_until": None,
            "finished_at": self._clock(),
        }
        with self._write() as db:
            where = sa.and_(_held(claim), JOBS.c.status.in_(sources(status)))
            _must_hold(_update(db, where, status=status, **{**end, **values}), claim)

    def give_back(self, claim: Claim, *, keep_attempt: bool) -> None:
        """To the queue, from the start; `keep_attempt` when the attempt counts against the job.
        Raises LeaseLost.
        """
        attempt = claim.job.attempt if keep_attempt else claim.job.attempt - 1
        back = {
            "status": Status.QUEUED,
            "phase": Phase.WAITING,
            "lease_until": None,
            "eta_s": None,
            "progress": 0.0,
        }
        with self._write() as db:
            _must_hold(_update(db, _held(claim), attempt=attempt, **back), claim)

    def _take_up_lost(self, db: sa.Connection) -> None:
        now = self._clock()
        lost = sa.and_(JOBS.c.status == Status.RUNNING, JOBS.c.lease_until < now)
        end = {"phase": Phase.DONE, "eta_s": None, "lease_until": None, "finished_at": now}
        _update(db, sa.and_(lost, JOBS.c.cancel_requested), status=Status.CANCELLED, **end)
        error = JobLost()
        _update(
            db, sa.and_(lost, JOBS.c.attempt >= MAX_ATTEMPTS), status=Status.FAILED,
            error_code=error.code, error_message=str(error), **end,
        )  # fmt: skip
        _update(db, lost, status=Status.QUEUED, phase=Phase.WAITING, eta_s=None, lease_until=None)


def _must_exist(db: sa.Connection, tenant: str, file_id: str) -> None:
    if db.execute(FILES.select().where(owned(FILES, tenant, file_id))).first() is None:
        raise UnknownFile(f"There is no file {file_id!r}.")


def _held(claim: Claim) -> sa.ColumnElement[bool]:
    mine = owned(JOBS, claim.job.tenant, claim.job.id)
    return sa.and_(mine, JOBS.c.token == claim.token, JOBS.c.status == Status.RUNNING)


def _update(db: sa.Connection, where: sa.ColumnElement[bool], **values: Any) -> int:
    changed = JOBS.update().where(where).values(**{"revision": JOBS.c.revision + 1, **values})
    return db.execute(changed).rowcount


def _must_hold(num_changed: int, claim: Claim) -> None:
    if not num_changed:
        raise LeaseLost(f"The job {claim.job.id!r} is held by another worker now, or has ended.")


def _one_job(db: sa.Connection, tenant: str, job_id: str) -> sa.Row[Any]:
    row = db.execute(JOBS.select().where(owned(JOBS, tenant, job_id))).one_or_none()
    if row is None:
        raise UnknownJob(f"There is no job {job_id!r}.")
    return row
