"""Erases a content that a tenant uploaded, and what jobs noted of it. The rows of the jobs stay:
that they ran is no content.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from adapters_registry.storage.database import Database
from trainer.errors import FileInUse, TenantInUse, UnknownFile
from trainer.jobs.file_table import must_exist
from trainer.jobs.row_mapping import has_id
from trainer.jobs.schema import CHECKPOINTS, EVENTS, FILE_NAMES, FILES, JOB_FILES, JOBS, NOTES
from trainer.jobs.states import Status

#: what a job notes of its rows: samples in its events and its report, weights made from them
_OF_JOBS = (EVENTS, CHECKPOINTS, NOTES)
#: a job in a state of a newer release may go on
_ENDED = frozenset(status for status in Status if status.ended)


class ContentErasure:
    """Of one database; `erase` is part of its caller's transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find_sha256(self, tenant: str, file_id: str) -> str:
        """Raises UnknownFile."""
        query = sa.select(FILES.c.sha256).where(has_id(FILES, tenant, file_id))
        with self._database.read() as db:
            sha256: str | None = db.execute(query).scalar()
        if sha256 is None:
            raise UnknownFile(f"There is no file {file_id!r} of the tenant {tenant!r}.")
        return sha256

    def list_files(self, tenant: str, sha256: str) -> list[str]:
        """Every upload of the content."""
        mine = (FILES.c.tenant == tenant) & (FILES.c.sha256 == sha256)
        with self._database.read() as db:
            return list(
                db.execute(sa.select(FILES.c.id).where(mine).order_by(FILES.c.seq)).scalars()
            )

    def hold(self, tenant: str, file_ids: Sequence[str]) -> None:
        """Within a transaction: a job that is being submitted waits, or is seen."""
        with self._database.write() as db:
            for file_id in sorted(file_ids):
                must_exist(db, tenant, file_id, exclusive=True)

    def list_jobs_of_tenant(self, tenant: str) -> list[str]:
        """Raises TenantInUse where one has not ended."""
        query = sa.select(JOBS.c.id, JOBS.c.status).where(JOBS.c.tenant == tenant)
        with self._database.read() as db:
            rows = db.execute(query.order_by(JOBS.c.seq)).all()
        if active := _list_active(rows):
            raise TenantInUse(
                f"The tenant {tenant!r} has the job {active[0]!r}, which has not ended; cancel the "
                "job first, and erase again."
            )
        return [row.id for row in rows]

    def list_jobs(self, tenant: str, file_ids: Sequence[str]) -> list[str]:
        """Raises FileInUse where one has not ended."""
        used = (JOB_FILES.c.tenant == tenant) & JOB_FILES.c.file_id.in_(file_ids)
        query = sa.select(JOBS.c.id, JOBS.c.status).join(JOB_FILES, JOB_FILES.c.job_id == JOBS.c.id)
        with self._database.read() as db:
            rows = db.execute(query.where(used).distinct().order_by(JOBS.c.id)).all()
        if active := _list_active(rows):
            raise FileInUse(
                f"The file is needed by the job {active[0]!r}, which has not ended; cancel the job "
                "first."
            )
        return [row.id for row in rows]

    def list_checkpoints(self, tenant: str, job_ids: Sequence[str]) -> list[str]:
        """The contents of what jobs left to go on from."""
        left = (CHECKPOINTS.c.tenant == tenant) & CHECKPOINTS.c.job_id.in_(job_ids)
        with self._database.read() as db:
            return list(db.execute(sa.select(CHECKPOINTS.c.sha256).where(left)).scalars())

    def erase(self, tenant: str, file_ids: Sequence[str], job_ids: Sequence[str]) -> None:
        with self._database.write() as db:
            for table in _OF_JOBS:
                of_jobs = (table.c.tenant == tenant) & table.c.job_id.in_(job_ids)
                db.execute(sa.delete(table).where(of_jobs))
            for job_id in job_ids:
                _empty(db, has_id(JOBS, tenant, job_id))
            for table, column in ((FILE_NAMES, FILE_NAMES.c.file_id), (FILES, FILES.c.id)):
                db.execute(sa.delete(table).where(table.c.tenant == tenant, column.in_(file_ids)))


def _list_active(rows: Sequence[Any]) -> list[str]:
    """A status that a newer release knows may be one of a job that runs."""
    ended = {str(status) for status in Status if status.ended}
    return [row.id for row in rows if row.status not in ended]


def _empty(db: sa.Connection, is_mine: sa.ColumnElement[bool]) -> None:
    """What its owner wrote down of a job, and what it found out."""
    spec = db.execute(sa.select(JOBS.c.spec).where(is_mine)).scalar()
    kept = {**spec, "metadata": {}, "suffix": ""} if isinstance(spec, dict) else {}
    emptied = sa.update(JOBS).where(is_mine).values(spec=kept, result={}, error_message=None)
    db.execute(emptied.values(revision=JOBS.c.revision + 1))
