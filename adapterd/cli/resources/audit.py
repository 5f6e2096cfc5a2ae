"""`adapterd audit`: the audit log in a server's database. Needs no running server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapterd.cli.exit_codes import ExitCode
from adapterd.cli.options import ConfigFile, Json
from adapterd.cli.platform_packages import require_platform
from adapterd.cli.state_database import DataDir, load_server_settings, open_state_database
from adapterd.errors import BadSetting

if TYPE_CHECKING:
    from adapters_registry.audit.audit_event import AuditEvent
    from adapters_registry.audit.verification import Head

_Tenant = Annotated[str | None, typer.Option(help="Tenant; default: all.")]


def build() -> typer.Typer:
    app = typer.Typer(help="Read and verify the audit log.", no_args_is_help=True)
    app.command("list")(list_events)
    app.command()(verify)
    app.command()(head)
    return app


def list_events(
    tenant: _Tenant = None,
    task: Annotated[str | None, typer.Option(help="Only changes of this task.")] = None,
    target: Annotated[
        str | None, typer.Option(help="Only of this: task@alias, task@7, or the id of a job.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only from this time on: 2026-11-30T08:00.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Number of events, the newest ones.")] = 100,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """List changes with who made them, oldest first; --json prints each as its chained row."""
    require_platform()
    from adapters_registry.audit.audit_log import AuditLog

    at = None if since is None else _parse_time(since)
    with open_state_database(load_server_settings(data_dir, config)) as database:
        events = AuditLog(database).list(tenant, task=task, target=target, since=at, limit=limit)
    if as_json:
        for event in events:  # the very bytes that are hashed
            typer.echo(event.text)
    else:
        _print_events(events)


def verify(
    tenant: _Tenant = None,
    heads: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Heads that `adapterd audit head --json` printed earlier; each must still be in "
            "its chain.",
        ),
    ] = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Check every row of the log, and name the first that was edited, removed or inserted."""
    require_platform()
    from adapterd.terminal import render
    from adapters_registry.audit.verification import verify as verify_chains

    kept = [] if heads is None else _read_heads(heads)
    with open_state_database(load_server_settings(data_dir, config)) as database:
        verification = verify_chains(database, tenant, kept)
    if as_json:
        render.print_json(verification)
    else:
        for fault in verification.faults:
            render.print_line(
                f"{_name_chain(fault.tenant)}, row {fault.sequence}: {fault.sentence}"
            )
        if not verification.faults:
            chains = render.count(len(verification.heads), "chain")
            render.print_line(
                f"{render.count(verification.num_rows, 'row')} in {chains}: all intact"
            )
    if verification.faults:
        raise typer.Exit(ExitCode.FAILED)


def head(
    tenant: _Tenant = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Print the end of each chain. Keep it elsewhere: it shows later whether rows were cut off."""
    require_platform()
    from adapterd.terminal import render
    from adapters_registry.audit.verification import list_heads

    with open_state_database(load_server_settings(data_dir, config)) as database:
        heads = list_heads(database, tenant)
    if as_json:
        render.print_json(heads)
        return
    rows = [(_name_chain(each.tenant), each.sequence, each.hash) for each in heads]
    render.print_table(
        render.count(len(heads), "chain"), ("chain", "rows", "hash"), rows, ("hash",)
    )


def _print_events(events: Sequence[AuditEvent]) -> None:
    from adapterd.terminal import render
    from adapterd.terminal.actor import name_actor
    from adapterd.terminal.table import time_cell

    rows = [
        (
            time_cell(event.at),
            event.change.tenant,
            event.change.action,
            event.change.target,
            str(event.change.outcome),
            name_actor(event.actor.document()),
            _tell(event.change.before),
            _tell(event.change.after),
            event.change.reason,
        )
        for event in events
    ]
    columns = (
        "time", "tenant", "action", "target", "outcome", "by", "before", "after", "reason",
    )  # fmt: skip
    render.print_table(render.count(len(events), "event"), columns, rows)


def _tell(facts: Any) -> str:
    return "" if facts is None else json.dumps(facts, ensure_ascii=False)


def _name_chain(tenant: str) -> str:
    return f"tenant {tenant}" if tenant else "the platform itself"


def _parse_time(text: str) -> float:
    """Of UTC where it names no zone. Raises BadSetting."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadSetting(f"--since is {text!r}; pass a time such as 2026-11-30T08:00") from error
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def _read_heads(path: Path) -> list[Head]:
    """Raises BadSetting."""
    from adapters_registry.audit.verification import Head

    try:
        return [Head(**each) for each in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise BadSetting(
            f"{path} does not hold heads as `adapterd audit head --json` prints them: {error}"
        ) from error
