"""What keeps collection from deleting for a while, such as a running backup. Expands."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "collection_hold",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("until", sa.Double, nullable=False),
    )
    op.execute(f"INSERT INTO schema_compatibility VALUES ('{revision}')")  # noqa: S608


def downgrade() -> None:
    op.execute(f"DELETE FROM schema_compatibility WHERE revision = '{revision}'")  # noqa: S608
    op.drop_table("collection_hold")
