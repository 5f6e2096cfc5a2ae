"""The trainer's tables, and the SQLite engine for them. Every table has a tenant column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection

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


#: statements that migrate schema n to schema n + 1; new tables are created by `METADATA`
STEPS: tuple[tuple[str, ...], ...] = (
    ("ALTER TABLE jobs ADD COLUMN pause_requested BOOLEAN NOT NULL DEFAULT 0",),
)
SCHEMA_VERSION = len(STEPS)

FILES = sa.Table(
    "files",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("id", sa.String, nullable=False, unique=True),
    sa.Column("tenant", sa.String, nullable=False, index=True),
    sa.Column("filename", sa.String, nullable=False),
    sa.Column("purpose", sa.String, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
)

#: a name stands for one file of a tenant, and a file has at most one
FILE_NAMES = sa.Table(
    "file_names",
    METADATA,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("file_id", sa.String, nullable=False, index=True),
)

JOBS = sa.Table(
    "jobs",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("id", sa.String, nullable=False, unique=True),
    sa.Column("tenant", sa.String, nullable=False, index=True),
    sa.Column("spec", Json, nullable=False),
    sa.Column("status", sa.String, nullable=False, index=True),
    sa.Column("phase", sa.String, nullable=False),
    sa.Column("progress", sa.Float, nullable=False, default=0.0),
    sa.Column("eta_s", sa.Float),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("finished_at", sa.Float),
    sa.Column("attempt", sa.Integer, nullable=False, default=0),
    sa.Column("version", sa.Integer),
    sa.Column("digest", sa.String),
    sa.Column("result", Json, nullable=False),
    sa.Column("error_code", sa.String),
    sa.Column("error_message", sa.String),
    sa.Column("revision", sa.Integer, nullable=False, default=0),
    sa.Column("cancel_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("pause_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("worker", sa.String),
    sa.Column("token", sa.Integer, nullable=False, default=0),
    sa.Column("lease_until", sa.Float),
)

JOB_FILES = sa.Table(
    "job_files",
    METADATA,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("job_id", sa.String, sa.ForeignKey("jobs.id"), primary_key=True),
    sa.Column("file_id", sa.String, primary_key=True, index=True),
)

EVENTS = sa.Table(
    "job_events",
    METADATA,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("job_id", sa.String, sa.ForeignKey("jobs.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("level", sa.String, nullable=False),
    sa.Column("code", sa.String, nullable=False),
    sa.Column("message", sa.String, nullable=False),
    sa.Column("data", Json, nullable=False),
)


def sqlite_engine(path: Path) -> sa.Engine:
    """In WAL mode, with every commit synced to disk, and writers that wait for each other."""
    database = sa.create_engine(
        f"sqlite:///{path}", connect_args={"timeout": 30, "check_same_thread": False}
    )

    @sa.event.listens_for(database, "connect")
    def _on_connect(connection: DBAPIConnection, _: object) -> None:
        connection.isolation_level = None  # `_on_begin` sends BEGIN itself
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.cursor().execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(database, "begin")
    def _on_begin(connection: sa.Connection) -> None:
        # a deferred writer can fail in the middle of its transaction; an immediate one waits at its
        # start
        reads = connection.get_execution_options().get("reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return database
