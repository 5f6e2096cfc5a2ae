"""Commands of `adapterd adapters` that move, delete and show aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from adapterd.cli.connect import connect
from adapterd.cli.options import AliasName, Json, ProfileName, TaskName, Url
from adapterd.errors import BadSetting

if TYPE_CHECKING:
    from adapterd.values import Alias

TaskOrVersion = Annotated[
    str, typer.Argument(metavar="TASK[@N]", help="A task, or a version: task@7.")
]
Number = Annotated[int | None, typer.Argument(metavar="N", help="The version, if TASK has no @N.")]
Expected = Annotated[int | None, typer.Option(help="Only if the alias points to this version now.")]


def promote(
    task: TaskOrVersion,
    number: Number = None,
    alias: AliasName = "production",
    expected: Expected = None,
    override: Annotated[
        bool,
        typer.Option("--override", help="Promote it although it is worse than production."),
    ] = False,
    reason: Annotated[
        str, typer.Option(help="Why --override is used; it stays in the alias's history.")
    ] = "",
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Point an alias to a version. One that is significantly worse than production is refused."""
    if override != bool(reason):
        raise BadSetting("Pass --override and --reason together.")
    name, version = parse_version(task, number)
    with connect(url, profile) as client:
        moved = client.promote(
            name, version, alias, expected_version=expected, override_reason=reason or None
        )
    _print_alias(moved, as_json)


def rollback(
    task: TaskName,
    alias: AliasName = "production",
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Point an alias back to its previous version."""
    with connect(url, profile) as client:
        moved = client.rollback(task, alias)
    _print_alias(moved, as_json)


def unalias(
    task: TaskName,
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="Alias of the task.")],
    expected: Expected = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete `production` too, which leaves TASK unserved.")
    ] = False,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Delete an alias. Its history stays, and its version can be deleted then."""
    from adapterd.terminal import render

    if alias == "production" and not yes:
        raise BadSetting(
            f"Without production, calls of {task} that name no version are refused. Pass --yes to "
            "delete it."
        )
    with connect(url, profile) as client:
        client.delete_alias(task, alias, expected_version=expected)
    deleted = {"task": task, "alias": alias}
    if as_json:
        render.print_json({"deleted": deleted})
    else:
        render.print_line(f"deleted the alias {task}@{alias}")


def history(
    task: TaskName,
    alias: AliasName = "production",
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Show the moves of an alias."""
    from adapterd.terminal import render
    from adapterd.terminal.table import time_cell

    with connect(url, profile) as client:
        events = client.alias_history(task, alias)
    if as_json:
        render.print_json(events)
        return
    rows = [
        (
            time_cell(e.at),
            e.action,
            e.previous_version,
            None if e.action == "delete" else e.version,
            e.reason,
        )
        for e in events
    ]
    render.print_table(f"{task}@{alias}", ("time", "action", "from", "to", "reason"), rows)


def parse_version(ref: str, number: int | None) -> tuple[str, int]:
    """The task and the version of `task@7`, or of `task 7`."""
    task, _, tail = ref.partition("@")
    if number is None and not tail.isdecimal():
        raise BadSetting(f"{ref} has no version number; pass {task}@7 or {task} 7")
    if number is not None and tail:
        raise BadSetting(f"{ref} and {number} both name a version; pass one of them")
    return task, number if number is not None else int(tail)


def _print_alias(alias: Alias, as_json: bool) -> None:
    from adapterd.terminal import render

    if as_json:
        render.print_json(alias)
    else:
        render.print_line(
            f"{alias.task}@{alias.alias} → version {alias.version} ({render.shorten(alias.digest)})"
        )
        for warning in alias.warnings:
            render.print_warning(warning)
