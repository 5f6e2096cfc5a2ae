"""Runs steps within the transaction of whoever asked for them (`storage/schema.py`)."""

from __future__ import annotations

from alembic import context

if hasattr(context, "config"):  # Alembic's, while it runs this file; not where it is imported
    context.configure(connection=context.config.attributes["connection"])
    context.run_migrations()
