"""The tables of the audit log: a chain of rows for each tenant, and the head of each chain.

They are made by the steps in `storage/migrations/versions/`.
"""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData()
#: names are compared byte by byte in every database, as in the registry
_BYTES = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
MAX_TARGET = 200
MAX_TASK = 64

AUDIT_EVENT = sa.Table(
    "audit_event",
    METADATA,
    sa.Column("tenant", _BYTES, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("task", sa.String(MAX_TASK), nullable=False),
    sa.Column("target", sa.String(MAX_TARGET), nullable=False),
    #: the whole row as one line of JSON; the other columns only find it
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Index("audit_event_by_task", "tenant", "task", "sequence"),
    sa.Index("audit_event_by_target", "tenant", "target", "sequence"),
    sa.Index("audit_event_by_time", "at"),
)

# Grows with the rows, in the same transaction: a chain whose end was cut off disagrees with it.
AUDIT_HEAD = sa.Table(
    "audit_head",
    METADATA,
    sa.Column("tenant", _BYTES, primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)
