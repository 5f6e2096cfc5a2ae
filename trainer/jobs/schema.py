"""The trainer's tables. Every table has a tenant column. Knows no step between schemas: those are
in `adapters_registry/storage/migrations/`.
"""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

METADATA = sa.MetaData()


class Json(sa.types.TypeDecorator[Any]):
    """JSON as text. A damaged value is read as None, so that other rows stay readable."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str:
        del dialect
        return json.dumps(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        del dialect
        try:
            return json.loads(value)
        except (ValueError, TypeError, RecursionError):
            return None


class Words(sa.types.TypeDecorator[str]):
    """Text that every database can hold: PostgreSQL has no NUL, and UTF-8 no half of a pair of
    surrogates. No id has the character that stands for them, so none is found by such an id.
    """

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        del dialect
        if value is None:
            return None
        text = value.replace("\0", "\ufffd")
        return text if text.isascii() else text.encode("utf-8", "surrogatepass").decode(
            "utf-8", "replace"
        )  # fmt: skip


#: ids are compared byte by byte in every database, as they are looked for by their beginnings
_ID = Words().with_variant(Words(collation="C"), "postgresql")


def _job() -> sa.Column[str]:
    return sa.Column("job_id", _ID, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)


FILES = sa.Table(
    "files",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("id", _ID, nullable=False, unique=True),
    sa.Column("tenant", Words, nullable=False, index=True),
    sa.Column("filename", Words, nullable=False),
    sa.Column("purpose", Words, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", Words, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Index("files_by_content", "sha256"),
)

#: a name stands for one file of a tenant, and a file has at most one
FILE_NAMES = sa.Table(
    "file_names",
    METADATA,
    sa.Column("tenant", Words, primary_key=True),
    sa.Column("name", Words, primary_key=True),
    sa.Column("file_id", Words, nullable=False, index=True),
)

JOBS = sa.Table(
    "jobs",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("id", _ID, nullable=False, unique=True),
    sa.Column("tenant", Words, nullable=False, index=True),
    sa.Column("spec", Json, nullable=False),
    sa.Column("status", Words, nullable=False, index=True),
    sa.Column("phase", Words, nullable=False),
    sa.Column("progress", sa.Double, nullable=False, default=0.0),
    sa.Column("eta_s", sa.Double),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("finished_at", sa.Double),
    sa.Column("attempt", sa.Integer, nullable=False, default=0),
    sa.Column("version", sa.Integer),
    sa.Column("digest", Words),
    sa.Column("result", Json, nullable=False),
    sa.Column("error_code", Words),
    sa.Column("error_message", Words),
    sa.Column("revision", sa.Integer, nullable=False, default=0),
    sa.Column("cancel_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("pause_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("worker", Words),
    sa.Column("token", sa.Integer, nullable=False, default=0),
    sa.Column("lease_until", sa.Double),
)

JOB_FILES = sa.Table(
    "job_files",
    METADATA,
    sa.Column("tenant", Words, primary_key=True),
    sa.Column("job_id", _ID, sa.ForeignKey("jobs.id"), primary_key=True),
    sa.Column("file_id", Words, primary_key=True, index=True),
)

#: the entries of each job's metadata, by which jobs are looked for
NOTES = sa.Table(
    "job_metadata",
    METADATA,
    sa.Column("tenant", Words, primary_key=True),
    _job(),
    sa.Column("key", Words, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Index("job_metadata_by_key", "tenant", "key"),
)

EVENTS = sa.Table(
    "job_events",
    METADATA,
    sa.Column("tenant", Words, primary_key=True),
    sa.Column("job_id", _ID, sa.ForeignKey("jobs.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("level", Words, nullable=False),
    sa.Column("code", Words, nullable=False),
    sa.Column("message", Words, nullable=False),
    sa.Column("data", Json, nullable=False),
)

#: the files of the last checkpoint of each run of a job that has not ended well
CHECKPOINTS = sa.Table(
    "checkpoint",
    METADATA,
    sa.Column("tenant", Words, primary_key=True),
    _job(),
    sa.Column("run", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("token", sa.Integer, nullable=False),
    sa.Column("stored_at", sa.Double, nullable=False),
    sa.Index("checkpoint_by_content", "sha256"),
)

#: the columns that name stored bytes, which are not collected as long as a row does
REFERENCES: tuple[sa.Column[str], ...] = (FILES.c.sha256, CHECKPOINTS.c.sha256)
