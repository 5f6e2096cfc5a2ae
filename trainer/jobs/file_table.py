"""All SQL about uploaded files. Knows no bytes, and about jobs only which files they need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from adapters_registry.audit.audit_event import Change
from adapters_registry.audit.audit_log import AuditLog
from trainer.errors import FileInUse, UnknownFile
from trainer.jobs.database import JobDatabase
from trainer.jobs.row_mapping import FILE_FIELDS, file_of, has_id, page_of
from trainer.jobs.schema import FILE_NAMES, FILES, JOB_FILES, JOBS
from trainer.jobs.states import Status
from trainer.jobs.values import FileQuery, FileRecord


class FileTable:
    """The records of files, each seen by its own tenant only."""

    def __init__(self, database: JobDatabase, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit

    def add(self, record: FileRecord) -> None:
        """A name that another file had moves to this one."""
        with self._database.write(*_locks(record)) as db:
            db.execute(FILES.insert().values({name: getattr(record, name) for name in FILE_FIELDS}))
            if record.name:
                has_name = sa.and_(
                    FILE_NAMES.c.tenant == record.tenant, FILE_NAMES.c.name == record.name
                )
                db.execute(FILE_NAMES.delete().where(has_name))
                row = {"tenant": record.tenant, "name": record.name, "file_id": record.id}
                db.execute(FILE_NAMES.insert().values(row))
            self._record(record, "file.upload", after=_facts(record))

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

    def delete(self, tenant: str, file_id: str) -> None:
        needed = (
            sa.select(JOBS.c.id)
            .join(JOB_FILES, JOB_FILES.c.job_id == JOBS.c.id)
            .where(JOB_FILES.c.file_id == file_id, JOB_FILES.c.tenant == tenant)
            .where(JOBS.c.status.in_([status for status in Status if not status.ended]))
        )
        with self._database.write() as db:
            # before the look at jobs: one that is being submitted holds the file, or finds it gone
            must_exist(db, tenant, file_id, exclusive=True)
            record = self.get(tenant, file_id)
            if (job := db.execute(needed.limit(1)).scalar()) is not None:
                raise FileInUse(
                    f"The file {file_id!r} is needed by the job {job!r}, which has not ended; wait "
                    "for its end, or cancel it."
                )
            db.execute(FILES.delete().where(has_id(FILES, tenant, file_id)))
            db.execute(FILE_NAMES.delete().where(FILE_NAMES.c.file_id == file_id))
            self._record(record, "file.delete", before=_facts(record))

    def _record(
        self,
        record: FileRecord,
        action: str,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        tenant, target = record.tenant, record.id
        self._audit.record(
            Change(tenant=tenant, action=action, target=target, before=before, after=after)
        )


def must_exist(db: sa.Connection, tenant: str, file_id: str, *, exclusive: bool = False) -> None:
    """And nobody deletes it until the transaction ends. Raises UnknownFile."""
    row = FILES.select().where(has_id(FILES, tenant, file_id))
    if db.execute(row.with_for_update(read=not exclusive)).first() is None:
        raise _unknown(file_id)


def _facts(record: FileRecord) -> dict[str, Any]:
    """What the log may keep of a file that is erased later: none of its names."""
    return {name: getattr(record, name) for name in ("purpose", "bytes", "sha256")}


def _locks(record: FileRecord) -> list[str]:
    """Two files that are given the same name at the same time: the later one has it."""
    return [f"file name {record.tenant} {record.name}"] if record.name else []


def _given_name() -> sa.Label[str]:
    """Of the file of each row."""
    of_file = sa.and_(FILE_NAMES.c.tenant == FILES.c.tenant, FILE_NAMES.c.file_id == FILES.c.id)
    return sa.select(FILE_NAMES.c.name).where(of_file).scalar_subquery().label("given_name")


def _unknown(file_id: str) -> UnknownFile:
    return UnknownFile(f"There is no file {file_id!r}.")
