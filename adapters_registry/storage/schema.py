"""The schema of the database: which revision it has, which this release reads, and the way between
them. The steps are Alembic's, in `migrations/versions/`.

A step that only adds (it expands) leaves older releases able to run beside a newer one; a step that
takes away (it contracts) says so by removing them from `schema_compatibility`.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from adapters_registry.errors import WrongSchema
from adapters_registry.storage.database_engines import is_sqlite, make_engine

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = "adapterd schema"
#: revisions whose releases can use this database as it is
COMPATIBILITY = sa.table("schema_compatibility", sa.column("revision"))


def head() -> str:
    """The newest revision that this release knows."""
    newest = _scripts().get_current_head()
    assert newest is not None
    return newest


def revisions() -> list[str]:
    """All that this release knows, oldest first."""
    return [script.revision for script in reversed(list(_scripts().walk_revisions()))]


def current(engine: sa.Engine) -> str | None:
    """The revision of a database; None where it is empty."""
    with engine.connect() as connection:
        return read_revision(connection)


def read_revision(connection: sa.Connection) -> str | None:
    """As `current`, within a transaction."""
    return MigrationContext.configure(connection).get_current_revision()


def list_tables(revision: str) -> set[str]:
    """The tables that the steps up to this revision make; the database may hold others. Raises
    WrongSchema where this release does not know the revision.
    """
    if revision not in revisions():
        raise WrongSchema(
            f"the database has schema {revision}, whose tables this release does not know "
            f"({head()}); use the release that made it",
            found=revision,
        )
    engine = make_engine("sqlite://")
    try:
        upgrade(engine, revision)
        return set(sa.inspect(engine).get_table_names())
    finally:
        engine.dispose()


def upgrade(engine: sa.Engine, revision: str = "head") -> None:
    """Go forward, in one transaction; other processes that want the same wait. Raises
    WrongSchema.
    """
    with engine.execution_options(writes=True).begin() as connection:
        upgrade_within(connection, revision)


def upgrade_within(connection: sa.Connection, revision: str = "head") -> None:
    """As `upgrade`, in the open transaction."""
    _lock(connection)
    present = read_revision(connection)
    if present is None or present in revisions():
        command.upgrade(_config(connection), revision)
    else:
        _check(connection, present)


def clear_within(connection: sa.Connection) -> None:
    """Drop every table of ours, in the open transaction. Raises WrongSchema."""
    _lock(connection)
    present = read_revision(connection)
    if present is None:
        return
    if present not in revisions():
        raise WrongSchema(
            f"the database has schema {present}, which this release does not know ({head()}); "
            "clear it with the release that made it",
            found=present,
        )
    command.downgrade(_config(connection), "base")


def downgrade(engine: sa.Engine, revision: str) -> None:
    """Go back, in one transaction. Raises WrongSchema."""
    with engine.execution_options(writes=True).begin() as connection:
        _lock(connection)
        present = read_revision(connection)
        if revision not in revisions() or present not in revisions():
            raise WrongSchema(
                f"the database has schema {present}; this release cannot take it back to "
                f"{revision}: it knows {', '.join(revisions())}",
                found=present,
            )
        command.downgrade(_config(connection), revision)


def go_to(engine: sa.Engine, revision: str) -> None:
    """Forward or back. Raises WrongSchema where this release does not know the way."""
    known = revisions()
    if revision not in known:
        raise WrongSchema(
            f"this release knows no schema {revision}; it knows {', '.join(known)}", found=revision
        )
    present = current(engine)
    if present in known and known.index(present) > known.index(revision):
        downgrade(engine, revision)
    else:
        upgrade(engine, revision)


def rows_to_drop(engine: sa.Engine, revision: str) -> dict[str, int]:
    """The tables with rows that going back to this revision would drop, and how many they have."""
    known, present = revisions(), current(engine)
    if present not in known or revision not in known:
        return {}
    doomed = list_tables(present) - list_tables(revision)
    num_rows = {}
    with engine.connect() as db:
        for name in sorted(doomed & set(sa.inspect(db).get_table_names())):
            rows = sa.select(sa.func.count()).select_from(sa.table(name))
            num_rows[name] = int(db.execute(rows).scalar_one())
    return {name: number for name, number in num_rows.items() if number}


def check(engine: sa.Engine) -> None:
    """Refuse a database that this release cannot use. Raises WrongSchema."""
    with engine.connect() as connection:
        _check(connection, read_revision(connection))


def _check(connection: sa.Connection, present: str | None) -> None:
    if present == head():
        return
    if present is None or present in revisions():
        raise WrongSchema(
            f"the database has schema {present or 'none'}, this release needs {head()}; run "
            "`adapterd migrate`",
            found=present,
        )
    usable = connection.execute(
        sa.select(COMPATIBILITY.c.revision).where(COMPATIBILITY.c.revision == head())
    ).first()
    if usable is None:
        raise WrongSchema(
            f"the database has schema {present}, which is newer than this release reads "
            f"({head()}); upgrade adapterd, or take the schema back with the newer release's "
            f"`adapterd migrate --to {head()}`",
            found=present,
        )


def _lock(connection: sa.Connection) -> None:
    if not is_sqlite(connection):
        connection.execute(
            sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": _LOCK}
        )


def _config(connection: sa.Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
