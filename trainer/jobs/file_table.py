"""All SQL about uploaded files. Knows no bytes, and about jobs only which files they need."""

from __future__ import annotations

import sqlalchemy as sa

from trainer.errors import FileInUse, UnknownFile
from trainer.jobs.database import Database
from trainer.jobs.row_mapping import FILE_FIELDS, file_of, has_id, page_of
from trainer.jobs.schema import FILE_NAMES, FILES, JOB_FILES, JOBS
from trainer.jobs.states import Status
from trainer.jobs.values import FileQuery, FileRecord


class FileTable:
    """The records of files, each seen by its own tenant only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, record: FileRecord) -> None:
        """A name that another file had moves to this one."""
        with self._database.write() as db:
            db.execute(FILES.insert().values({name: getattr(record, name) for name in FILE_FIELDS}))
            if record.name:
                has_name = sa.and_(
                    FILE_NAMES.c.tenant == record.tenant, FILE_NAMES.c.name == record.name
                )
                db.execute(FILE_NAMES.delete().where(has_name))
                row = {"tenant": record.tenant, "name": record.name, "file_id": record.id}
                db.execute(FILE_NAMES.insert().values(row))

    def get(self, tenant: str, file_id: str) -> FileRecord:
        query = FILES.select().add_columns(_given_name()).where(has_id(FILES, tenant, file_id))
        with self._database.read() as db:
            row = db.execute(query).one_or_none()
        if row is None:
            raise _unknown(file_id)
        return file_of(row)

    def list(
        self, tenant: str, after: str | None, limit: int, query: FileQuery
    ) -> list[FileRecord]:
        page = page_of(
            FILES, tenant, after, limit, id_prefix=query.id_prefix, oldest_first=query.oldest_first
        ).add_columns(_given_name())
        if query.purpose:
            page = page.where(FILES.c.purpose == query.purpose)
        if query.sha256:
            page = page.where(FILES.c.sha256 == query.sha256)
        if query.name:
            named = sa.and_(FILE_NAMES.c.tenant == tenant, FILE_NAMES.c.name == query.name)
            page = page.where(FILES.c.id.in_(sa.select(FILE_NAMES.c.file_id).where(named)))
        with self._database.read() as db:
            return [file_of(row) for row in db.execute(page)]

    def find_content(self, tenant: str, sha256: str) -> str | None:
        """The id of a file of the tenant with this content."""
        mine = sa.and_(FILES.c.tenant == tenant, FILES.c.sha256 == sha256)
        with self._database.read() as db:
            file_id: str | None = db.execute(sa.select(FILES.c.id).where(mine).limit(1)).scalar()
            return file_id

    def delete(self, tenant: str, file_id: str) -> None:
        needed = (
            sa.select(JOBS.c.id)
            .join(JOB_FILES, JOB_FILES.c.job_id == JOBS.c.id)
            .where(JOB_FILES.c.file_id == file_id, JOB_FILES.c.tenant == tenant)
            .where(JOBS.c.status.in_([status for status in Status if not status.ended]))
        )
        with self._database.write() as db:
            if (job := db.execute(needed.limit(1)).scalar()) is not None:
                raise FileInUse(
                    f"The file {file_id!r} is needed by the job {job!r}, which has not ended; wait "
                    "for its end, or cancel it."
                )
            if not db.execute(FILES.delete().where(has_id(FILES, tenant, file_id))).rowcount:
                raise _unknown(file_id)
            db.execute(FILE_NAMES.delete().where(FILE_NAMES.c.file_id == file_id))

    def ids(self) -> set[str]:
        """The ids of all tenants' files, which the sweep must keep."""
        with self._database.read() as db:
            return set(db.execute(sa.select(FILES.c.id)).scalars())


def must_exist(db: sa.Connection, tenant: str, file_id: str) -> None:
    if db.execute(FILES.select().where(has_id(FILES, tenant, file_id))).first() is None:
        raise _unknown(file_id)


def _given_name() -> sa.Label[str]:
    """Of the file of each row."""
    of_file = sa.and_(FILE_NAMES.c.tenant == FILES.c.tenant, FILE_NAMES.c.file_id == FILES.c.id)
    return sa.select(FILE_NAMES.c.name).where(of_file).scalar_subquery().label("given_name")


def _unknown(file_id: str) -> UnknownFile:
    return UnknownFile(f"There is no file {file_id!r}.")
