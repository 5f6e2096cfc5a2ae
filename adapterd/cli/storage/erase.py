"""`adapterd erase`: a file with every version made from it, or a tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from adapterd.cli.exit_codes import ExitCode
from adapterd.cli.options import ConfigFile, Json, ServerSettings
from adapterd.cli.state_database import DataDir
from adapterd.cli.storage.opened import open_storage

if TYPE_CHECKING:
    from server.upkeep.erasure import Erasure

Yes = Annotated[
    bool, typer.Option("--yes", help="Erase; without it, only say what would be erased.")
]
Now = Annotated[
    bool,
    typer.Option("--now", help="Delete at once also the bytes that nobody else needs."),
]


def build() -> typer.Typer:
    app = typer.Typer(
        help="Erase what a customer asks for. Needs no running server.", no_args_is_help=True
    )
    app.command("file")(erase_file)
    app.command("tenant")(erase_tenant)
    return app


def erase_file(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Id of an uploaded file.")],
    tenant: Annotated[str, typer.Option(help="Tenant of the file.")] = "default",
    yes: Yes = False,
    now: Now = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    settings: ServerSettings = None,
    as_json: Json = False,
) -> None:
    """Erase a file, every version that was trained on it by any job, and what jobs noted of it.

    Aliases that name such a version go too. Jobs stay, without their events,
    results and metadata. Exit status 1: something is left, which is named.
    """
    with open_storage(data_dir, config, settings) as state:
        from server.upkeep.erasure import Eraser

        eraser = Eraser(state)
        erasure = (
            eraser.erase_file(tenant, file, now=now) if yes else eraser.preview_file(tenant, file)
        )
    _show(erasure, is_done=yes, is_now=now, as_json=as_json)
    _fail_for_what_is_left(erasure)


def erase_tenant(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Name of the tenant.")],
    yes: Yes = False,
    now: Now = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    settings: ServerSettings = None,
    as_json: Json = False,
) -> None:
    """Erase all tasks, versions, files, jobs and keys of a tenant.

    Its jobs must have ended. The audit log keeps that it was done. Revoke keys
    in a key file first, with `adapterd keys revoke`. Exit status 1: something
    is left, which is named.
    """
    with open_storage(data_dir, config, settings) as state:
        from server.upkeep.erasure import Eraser

        eraser = Eraser(state)
        erasure = eraser.erase_tenant(tenant, now=now) if yes else eraser.preview_tenant(tenant)
    _show(erasure, is_done=yes, is_now=now, as_json=as_json)
    _fail_for_what_is_left(erasure)


def _show(erasure: Erasure, *, is_done: bool, is_now: bool, as_json: bool) -> None:
    from adapterd.terminal import render

    if as_json:
        render.print_json({**render.to_plain(erasure), "erased": is_done})
        return
    facts = {
        "files": ", ".join(erasure.files) or None,
        "versions": ", ".join(erasure.versions) or None,
        "aliases": ", ".join(erasure.aliases) or None,
        "jobs": ", ".join(erasure.jobs) or None,
        "rows": erasure.num_rows or None,
        "stored files": len(erasure.blobs),
    }
    title = "erased" if is_done else "would be erased"
    render.print_facts(f"{title}, of tenant {erasure.tenant}", facts)
    if not is_done:
        typer.echo("nothing was changed; pass --yes to erase it", err=True)
    elif is_now:
        typer.echo(f"{erasure.num_deleted_blobs} stored files that nobody else needs were deleted")
    else:
        typer.echo("bytes that nobody else needs are deleted by the next collections", err=True)


def _fail_for_what_is_left(erasure: Erasure) -> None:
    """Whoever erases must not believe that everything is gone."""
    if erasure.held_by:
        typer.echo(
            f"no bytes were deleted: {erasure.held_by}; run `adapterd collect --grace 0s` after it",
            err=True,
        )
    if erasure.num_rows_left:
        typer.echo(
            f"{erasure.num_rows_left} rows of tenant {erasure.tenant} were written meanwhile; "
            "erase it again",
            err=True,
        )
    if erasure.held_by or erasure.num_rows_left:
        raise typer.Exit(ExitCode.FAILED)
