"""`adapterd migrate`: brings the schema of the database forward, or back."""

from __future__ import annotations

from typing import Annotated

import typer

from adapterd.cli.exit_codes import ExitCode
from adapterd.cli.options import ConfigFile, Json, ServerSettings
from adapterd.cli.state_database import DataDir
from adapterd.cli.storage.opened import open_storage
from adapterd.errors import Refused


def migrate(
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="REVISION",
            help="Go to this revision, also back, which drops what is newer; default: the newest.",
        ),
    ] = None,
    only_check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 unless this release can run.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Drop tables that have rows, on the way back.")
    ] = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    settings: ServerSettings = None,
    as_json: Json = False,
) -> None:
    """Bring the database to the schema of this release, before its servers start.

    A server on SQLite does so by itself. Servers of the release before go on
    meanwhile. Take a backup before you go back.
    """
    with open_storage(
        data_dir, config, settings, checks_schema=False, creates=not only_check
    ) as state:
        from adapterd.terminal import render
        from adapters_registry.storage import schema
        from server.upkeep.storage import record

        before = schema.current(state.database.engine)
        problem = _check(state.database.engine) if only_check else ""
        if not only_check:
            if not yes:
                _refuse_to_drop(schema.rows_to_drop(state.database.engine, to or schema.head()), to)
            schema.go_to(state.database.engine, to or schema.head())
        after = schema.current(state.database.engine)
        if after is not None and before != after:
            record(state, "storage.migrate", after, before={"schema": before}, schema=after)
    if as_json:
        facts = {"before": before, "after": after, "newest": schema.head(), "problem": problem}
        render.print_json(facts)
    elif problem:
        typer.echo(problem, err=True)
    elif before == after:
        render.print_line(f"the database has schema {after}, and this release can run")
    else:
        render.print_line(f"the database had schema {before or 'none'}, and has {after} now")
    if problem:
        raise typer.Exit(ExitCode.FAILED)


def _refuse_to_drop(rows: dict[str, int], to: str | None) -> None:
    """Raises Refused."""
    if rows:
        named = ", ".join(f"{name} ({number})" for name, number in rows.items())
        raise Refused(
            f"going back to schema {to} drops tables with rows: {named}; make a backup, and pass "
            "--yes to lose them",
            problem="rows_would_be_lost",
        )


def _check(engine: object) -> str:
    """Why this release cannot run; empty if it can."""
    from adapters_registry.errors import WrongSchema
    from adapters_registry.storage import schema

    try:
        schema.check(engine)  # type: ignore[arg-type]
    except WrongSchema as error:
        return str(error)
    return ""
