"""Every lineage of a version and the datasets that it names, the audit log, and API keys. Expands.

A version's first lineage stays in its own row, where the releases before this one look for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_BYTES = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
_PAGE = 500
_VERSION = ["version.tenant", "version.task", "version.number"]


def _key(column: str) -> sa.Column[str]:
    return sa.Column(column, _BYTES, primary_key=True)


def _number(column: str) -> sa.Column[int]:
    return sa.Column(column, sa.Integer, primary_key=True, autoincrement=False)


def upgrade() -> None:
    _create_lineage()
    _create_audit()
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("tenant", _BYTES, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double),
        sa.Column("revoked_at", sa.Double),
    )
    op.create_index("api_key_by_tenant", "api_key", ["tenant"])
    op.execute(f"INSERT INTO schema_compatibility VALUES ('{revision}')")  # noqa: S608


def downgrade() -> None:
    op.execute(f"DELETE FROM schema_compatibility WHERE revision = '{revision}'")  # noqa: S608
    for table in ("api_key", "audit_head", "audit_event", "lineage_dataset", "lineage"):
        op.drop_table(table)


def _create_lineage() -> None:
    op.create_table(
        "lineage",
        _key("tenant"),
        _key("task"),
        _number("number"),
        _number("sequence"),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("document", sa.Text),
        sa.ForeignKeyConstraint(["tenant", "task", "number"], _VERSION, ondelete="CASCADE"),
    )
    dataset = op.create_table(
        "lineage_dataset",
        _key("tenant"),
        sa.Column("sha256", sa.String(64), primary_key=True),
        _key("task"),
        _number("number"),
        sa.ForeignKeyConstraint(["tenant", "task", "number"], _VERSION, ondelete="CASCADE"),
    )
    op.create_index("lineage_dataset_by_version", "lineage_dataset", ["tenant", "task", "number"])
    op.execute(
        "INSERT INTO lineage (tenant, task, number, sequence, at, source, actor, document) "
        "SELECT tenant, task, number, 1, created_at, source, '{}', NULL FROM version"
    )
    for rows in _read_datasets():
        if rows:
            op.bulk_insert(dataset, rows)


def _create_audit() -> None:
    op.create_table(
        "audit_event",
        _key("tenant"),
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("task", sa.String(64), nullable=False),
        sa.Column("target", sa.String(200), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    for name, columns in (
        ("audit_event_by_task", ["tenant", "task", "sequence"]),
        ("audit_event_by_target", ["tenant", "target", "sequence"]),
        ("audit_event_by_time", ["at"]),
    ):
        op.create_index(name, "audit_event", columns)
    op.create_table(
        "audit_head",
        _key("tenant"),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )


def _read_datasets() -> Iterator[list[dict[str, Any]]]:
    """The digests that each stored lineage names, a page of versions at a time."""
    names = ("tenant", "task", "number", "lineage")
    version = sa.table("version", *(sa.column(name) for name in names))
    key = (version.c.tenant, version.c.task, version.c.number)
    page = sa.select(version).order_by(*key).limit(_PAGE)
    after: tuple[Any, ...] | None = None
    while True:
        query = page if after is None else page.where(sa.tuple_(*key) > after)
        versions = op.get_bind().execute(query).all()
        yield [row for each in versions for row in _datasets_of(each)]
        if len(versions) < _PAGE:
            return
        after = tuple(versions[-1][:3])


def _datasets_of(row: sa.Row[Any]) -> list[dict[str, Any]]:
    lineage = json.loads(row.lineage)
    dataset = lineage.get("dataset") if isinstance(lineage, dict) else None
    sha256s = dataset.get("sha256") if isinstance(dataset, dict) else None
    digests = sha256s.values() if isinstance(sha256s, dict) else ()
    mine = {"tenant": row.tenant, "task": row.task, "number": row.number}
    return [{**mine, "sha256": each} for each in sorted({d for d in digests if _is_digest(d)})]


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64
