"""The notes of jobs in a table of their own, which every database can search, and the checkpoints
of running jobs, from which a worker on another machine goes on. Expands.

A job that an older release submits beside this one has no rows of notes: it is not found by them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

#: names are compared byte by byte in every database
_BYTES = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_BATCH = 500


def upgrade() -> None:
    notes = op.create_table(
        "job_metadata",
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("job_id", _BYTES, _job(), primary_key=True),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    # without the value: an entry of PostgreSQL's index may be too small for it
    op.create_index("job_metadata_by_key", "job_metadata", ["tenant", "key"])
    _fill(notes)
    op.create_table(
        "checkpoint",
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("job_id", _BYTES, _job(), primary_key=True),
        sa.Column("run", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("stored_at", sa.Double, nullable=False),
    )
    op.create_index("checkpoint_by_content", "checkpoint", ["sha256"])
    op.execute(f"INSERT INTO schema_compatibility VALUES ('{revision}')")  # noqa: S608


def downgrade() -> None:
    op.execute(f"DELETE FROM schema_compatibility WHERE revision = '{revision}'")  # noqa: S608
    op.drop_table("checkpoint")
    op.drop_table("job_metadata")


def _job() -> sa.ForeignKey:
    """Both go with their job, also where an older release deletes it, which knows neither."""
    return sa.ForeignKey("jobs.id", ondelete="CASCADE")


def _fill(notes: sa.Table) -> None:
    """In batches by `seq`: the specifications of many jobs are more than memory should hold."""
    jobs = sa.table("jobs", *(sa.column(name) for name in ("seq", "id", "tenant", "spec")))
    last = -1
    page = sa.select(jobs).order_by(jobs.c.seq).limit(_BATCH)
    while rows := op.get_bind().execute(page.where(jobs.c.seq > last)).all():
        op.bulk_insert(
            notes,
            [
                {"tenant": row.tenant, "job_id": row.id, "key": key, "value": value}
                for row in rows
                for key, value in _notes_of(row.spec)
            ],
        )
        last = rows[-1].seq


def _notes_of(spec: object) -> Iterator[tuple[str, str]]:
    """None where the record is damaged."""
    try:
        content = json.loads(spec) if isinstance(spec, str | bytes) else None
    except (ValueError, RecursionError):
        return
    notes = content.get("metadata") if isinstance(content, dict) else None
    for key, value in notes.items() if isinstance(notes, dict) else ():
        if isinstance(value, str) and "\0" not in key + value:
            yield key, value
