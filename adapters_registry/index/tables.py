"""The tables of the index. Every one has its tenant, and it leads every key.

They are made by the steps in `storage/migrations/versions/`.
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

METADATA = MetaData()
#: names are compared byte by byte in every database, as pages are cut by them
_BYTES = String(64).with_variant(String(64, collation="C"), "postgresql")


def _name(column: str) -> Column[str]:
    return Column(column, _BYTES, primary_key=True)


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
    Column("base_fingerprint", Text, nullable=False),
    Column("manifest", Text, nullable=False),
    Column("lineage", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("num_parameters", BigInteger, nullable=False),
    Column("num_bytes", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("tenant", "task", "digest", name="version_content"),
    ForeignKeyConstraint(["tenant", "task"], ["task.tenant", "task.name"]),
    # of every tenant: whether anyone still has it
    Index("version_by_digest", "digest"),
    Index("version_by_base", "base_fingerprint"),
)

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

# How a version came to be, each time that its content was published. The document of the first is
# in the version's own row.
LINEAGE = Table(
    "lineage",
    METADATA,
    _name("tenant"),
    _name("task"),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("source", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("document", Text),
    ForeignKeyConstraint(
        ["tenant", "task", "number"],
        ["version.tenant", "version.task", "version.number"],
        ondelete="CASCADE",
    ),
)

# The datasets that the lineages of a version name, by their digest.
LINEAGE_DATASET = Table(
    "lineage_dataset",
    METADATA,
    _name("tenant"),
    Column("sha256", String(64), primary_key=True),
    _name("task"),
    Column("number", Integer, primary_key=True, autoincrement=False),
    ForeignKeyConstraint(
        ["tenant", "task", "number"],
        ["version.tenant", "version.task", "version.number"],
        ondelete="CASCADE",
    ),
    Index("lineage_dataset_by_version", "tenant", "task", "number"),
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
    Column("reason", String(1000), nullable=False, server_default=""),
)

# The newest change of each task's aliases or versions, numbered over all tasks in the order of
# their commits. A deleted task keeps its row: every cache learns of the deletion, however late.
TASK_CHANGE = Table(
    "task_change",
    METADATA,
    _name("tenant"),
    _name("task"),
    Column("sequence", BigInteger, nullable=False),
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
