"""Random bytes that all servers of a database share, such as those that sign links. Expands."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "server_secret",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("secret", sa.String(64), nullable=False),
    )
    op.execute(f"INSERT INTO schema_compatibility VALUES ('{revision}')")  # noqa: S608


def downgrade() -> None:
    op.execute(f"DELETE FROM schema_compatibility WHERE revision = '{revision}'")  # noqa: S608
    op.drop_table("server_secret")
