"""All SQL about uploaded files. Knows no bytes, and about jobs only which files they need."""

from __future__ import annotations

import sqlalchemy as sa

from trainer.errors import FileInUse, UnknownFile
from trainer.jobs.database import Database
from trainer.jobs.row_mapping import FILE_FIELDS, file_of, has_id, page_of
from trainer.jobs.schema import FILES, JOB_FILES, JOBS
from trainer.jobs.states import Status
from trainer.jobs.values import FileRecord


class FileTable:
    """The records of files, each seen by its own tenant only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, record: FileRecord) -> None:
        with self._database.write() as db:
            db.execute(FILES.insert().values({name: getattr(record, name) for name in FILE_FIELDS}))

    def get(self, tenant: str, file_id: str) -> FileRecord:
        with self._database.read() as db:
            row = db.execute(FILES.select().where(has_id(FILES, tenant, file_id))).one_or_none()
        if row is None:
            raise _unknown(file_id)
        return file_of(row)

    def list(
        self,
        tenant: str,
        after: str | None,
        limit: int,
        *,
        purpose: str | None = None,
        oldest_first: bool = False,
    ) -> list[FileRecord]:
        page = page_of(FILES, tenant, after, limit, oldest_first=oldest_first)
        if purpose is not None:
            page = page.where(FILES.c.purpose == purpose)
        with self._database.read() as db:
            return [file_of(row) for row in db.execute(page)]

    def delete(self, tenant: str, file_id: str) -> None:
        needed = (
            sa.select(JOBS.c.id)
            .join(JOB_FILES, JOB_FILES.c.job_id == JOBS.c.id)
            .where(JOB_FILES.c.file_id == file_id, JOB_FILES.c.tenant == tenant)
            .where(JOBS.c.status.in_([status for status in Status if not status.ended]))
        )
        with self._database.write() as db:
            if (job := db.execute(needed.limit(1)).scalar()) is not None:
                raise FileInUse(f"The file {file_id!r} is needed by the job {job!r}.")
            if not db.execute(FILES.delete().where(has_id(FILES, tenant, file_id))).rowcount:
                raise _unknown(file_id)

    def ids(self) -> set[str]:
        """The ids of all tenants' files, which the sweep must keep."""
        with self._database.read() as db:
            return set(db.execute(sa.select(FILES.c.id)).scalars())


def must_exist(db: sa.Connection, tenant: str, file_id: str) -> None:
    if db.execute(FILES.select().where(has_id(FILES, tenant, file_id))).first() is None:
        raise _unknown(file_id)


def _unknown(file_id: str) -> UnknownFile:
    return UnknownFile(f"There is no file {file_id!r}.")
