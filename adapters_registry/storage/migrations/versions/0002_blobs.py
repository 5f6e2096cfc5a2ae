"""Where the bytes of each content are, and whether they are about to be collected. Expands."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "blob",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("object", sa.String(128), nullable=False, unique=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("stored_at", sa.Double, nullable=False),
        sa.Column("marked_at", sa.Double),
        sa.Column("epoch", sa.Integer, nullable=False),
    )
    op.create_index("blob_by_mark", "blob", ["marked_at"])
    op.execute(f"INSERT INTO schema_compatibility VALUES ('{revision}')")  # noqa: S608


def downgrade() -> None:
    op.execute(f"DELETE FROM schema_compatibility WHERE revision = '{revision}'")  # noqa: S608
    op.drop_table("blob")
