"""Tasks, versions, aliases, uploaded files and jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

#: names are compared byte by byte in every database, as pages are cut by them
_BYTES = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
_ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def _key(column: str, kind: sa.types.TypeEngine[str] = _BYTES) -> sa.Column[str]:
    return sa.Column(column, kind, primary_key=True)


def upgrade() -> None:
    _create_versions()
    _create_aliases()
    _create_files()
    _create_jobs()
    compatibility = op.create_table(
        "schema_compatibility", sa.Column("revision", sa.String(32), primary_key=True)
    )
    op.bulk_insert(compatibility, [{"revision": revision}])


def downgrade() -> None:
    for table in (
        "schema_compatibility", "job_events", "job_files", "jobs", "file_names", "files",
        "publication", "task_change", "alias_event", "alias", "version_file", "version", "task",
    ):  # fmt: skip
        op.drop_table(table)


def _create_versions() -> None:
    op.create_table(
        "task",
        _key("tenant"),
        _key("name"),
        sa.Column("next_number", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
    )
    op.create_table(
        "version",
        _key("tenant"),
        _key("task"),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("base_fingerprint", sa.Text, nullable=False),
        sa.Column("manifest", sa.Text, nullable=False),
        sa.Column("lineage", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("num_parameters", sa.BigInteger, nullable=False),
        sa.Column("num_bytes", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.UniqueConstraint("tenant", "task", "digest", name="version_content"),
        sa.ForeignKeyConstraint(["tenant", "task"], ["task.tenant", "task.name"]),
    )
    op.create_index("version_by_digest", "version", ["digest"])
    op.create_index("version_by_base", "version", ["base_fingerprint"])
    op.create_table(
        "version_file",
        _key("tenant"),
        _key("task"),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("role", sa.String(64), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "task", "number"],
            ["version.tenant", "version.task", "version.number"],
            ondelete="CASCADE",
        ),
    )
    op.create_index("version_file_by_content", "version_file", ["sha256"])


def _create_aliases() -> None:
    op.create_table(
        "alias",
        _key("tenant"),
        _key("task"),
        _key("name"),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("moved_at", sa.Double, nullable=False),
        # no cascade: the database itself refuses to drop a version that an alias names
        sa.ForeignKeyConstraint(
            ["tenant", "task", "version"], ["version.tenant", "version.task", "version.number"]
        ),
    )
    op.create_table(
        "alias_event",
        _key("tenant"),
        _key("task"),
        _key("alias"),
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("previous", sa.Integer),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("reason", sa.String(1000), nullable=False, server_default=""),
    )
    op.create_table(
        "task_change",
        _key("tenant"),
        _key("task"),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_index("task_change_by_sequence", "task_change", ["sequence"], unique=True)
    op.create_table(
        "publication",
        _key("tenant"),
        sa.Column("fence", sa.String(128), primary_key=True),
        sa.Column("task", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
    )


def _create_files() -> None:
    op.create_table(
        "files",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("id", _ID, nullable=False, unique=True),
        sa.Column("tenant", sa.String, nullable=False, index=True),
        sa.Column("filename", sa.String, nullable=False),
        sa.Column("purpose", sa.String, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
    )
    op.create_index("files_by_content", "files", ["sha256"])
    op.create_table(
        "file_names",
        _key("tenant", sa.String()),
        _key("name", sa.String()),
        sa.Column("file_id", sa.String, nullable=False, index=True),
    )


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("id", _ID, nullable=False, unique=True),
        sa.Column("tenant", sa.String, nullable=False, index=True),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("status", sa.String, nullable=False, index=True),
        sa.Column("phase", sa.String, nullable=False),
        sa.Column("progress", sa.Double, nullable=False),
        sa.Column("eta_s", sa.Double),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("finished_at", sa.Double),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer),
        sa.Column("digest", sa.String),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("error_code", sa.String),
        sa.Column("error_message", sa.String),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("pause_requested", sa.Boolean, nullable=False),
        sa.Column("worker", sa.String),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("lease_until", sa.Double),
    )
    op.create_table(
        "job_files",
        _key("tenant", sa.String()),
        sa.Column("job_id", _ID, sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("file_id", sa.String, primary_key=True, index=True),
    )
    op.create_table(
        "job_events",
        _key("tenant", sa.String()),
        sa.Column("job_id", _ID, sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("level", sa.String, nullable=False),
        sa.Column("code", sa.String, nullable=False),
        sa.Column("message", sa.String, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
    )
