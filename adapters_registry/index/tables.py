"""The tables of the index.

Every one has its tenant, and it leads every key. Nothing here is SQLite's own.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA_VERSION = 1
METADATA = MetaData()


def _name(column: str) -> Column[str]:
    return Column(column, String(64), primary_key=True)


# A deleted task keeps its row: its name may come back, its version numbers may not.
TASK = Table(
    "task",
    METADATA,
    _name("tenant"),
    _name("name"),
    Column("next_number", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("deleted", Boolean, nullable=False),
)

VERSION = Table(
    "version",
    METADATA,
    _name("tenant"),
    _name("task"),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("digest", String(64), nullable=False),
    Column("base_fingerprint", Text, nullable=False, index=True),
    Column("manifest", Text, nullable=False),
    Column("lineage", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("num_parameters", BigInteger, nullable=False),
    Column("num_bytes", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("tenant", "task", "digest"),
    ForeignKeyConstraint(["tenant", "task"], ["task.tenant", "task.name"]),
)

# Of every tenant: whether anyone still has it.
VERSION_BY_DIGEST = Index("version_by_digest", VERSION.c.digest)

VERSION_FILE = Table(
    "version_file",
    METADATA,
    _name("tenant"),
    _name("task"),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("role", String(64), primary_key=True),
    Column("sha256", String(64), nullable=False),
    ForeignKeyConstraint(
        ["tenant", "task", "number"],
        ["version.tenant", "version.task", "version.number"],
        ondelete="CASCADE",
    ),
    Index("version_file_by_content", "sha256"),
)

ALIAS = Table(
    "alias",
    METADATA,
    _name("tenant"),
    _name("task"),
    _name("name"),
    Column("version", Integer, nullable=False),
    Column("moved_at", Double, nullable=False),
    # No cascade: the database itself refuses to drop a version that an alias names.
    ForeignKeyConstraint(
        ["tenant", "task", "version"], ["version.tenant", "version.task", "version.number"]
    ),
)

ALIAS_EVENT = Table(
    "alias_event",
    METADATA,
    _name("tenant"),
    _name("task"),
    _name("alias"),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("action", String(16), nullable=False),
    Column("previous", Integer),
    Column("version", Integer, nullable=False),
    Column("at", Double, nullable=False),
)

# Created if it is missing, so that the index of an earlier release needs no migration.
ALIAS_REASON = Table(
    "alias_reason",
    METADATA,
    _name("tenant"),
    _name("task"),
    _name("alias"),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("reason", String(1000), nullable=False),
)

# The newest change of each task's aliases or versions, numbered over all tasks; written by the
# database itself (`database.py`), whoever writes.
TASK_CHANGE = Table(
    "task_change",
    METADATA,
    _name("tenant"),
    _name("task"),
    Column("sequence", Integer, nullable=False),
    Index("task_change_by_sequence", "sequence", unique=True),
)

# Outlives the version it names: a zombie job that comes back late must still find its fence spent.
PUBLICATION = Table(
    "publication",
    METADATA,
    _name("tenant"),
    Column("fence", String(128), primary_key=True),
    Column("task", String(64), nullable=False),
    Column("number", Integer, nullable=False),
)
