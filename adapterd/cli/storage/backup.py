"""`adapterd backup` and `adapterd restore`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from adapterd.cli.exit_codes import ExitCode
from adapterd.cli.options import ConfigFile, Json, ServerSettings
from adapterd.cli.state_database import DataDir
from adapterd.cli.storage.opened import BackupLocation, open_storage, storage_progress

if TYPE_CHECKING:
    from server.upkeep.carried_over import CarriedOver


def backup(
    location: BackupLocation,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    settings: ServerSettings = None,
    as_json: Json = False,
) -> None:
    """Copy all tasks, versions, jobs, files and their bytes, while servers go on.

    Further backups into the same place copy only new bytes. Exit status 1:
    bytes were lost before the backup; the rest was copied.
    """
    with open_storage(data_dir, config, settings) as state:
        from adapterd.terminal import render
        from adapters_registry.storage.backup.place import BackupPlace
        from server.upkeep.storage import build_backup

        place = BackupPlace(location)
        with storage_progress("backup", quiet=as_json) as on_bytes:
            made = build_backup(state, place).run(on_bytes)
    if as_json:
        render.print_json(made)
    else:
        size = _size(made.num_bytes)
        render.print_line(f"{made.id}: {render.count(made.num_blobs, 'stored file')}, {size}")
    if made.lost:
        were = "stored files were" if len(made.lost) > 1 else "stored file was"
        typer.echo(
            f"{len(made.lost)} {were} lost before this backup; `adapterd doctor --storage` names "
            "who needs them",
            err=True,
        )
        raise typer.Exit(ExitCode.FAILED)


def restore(
    location: BackupLocation,
    backup_id: Annotated[
        str | None, typer.Option("--id", help="Id of the backup; default: the newest.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Lose what the database holds now.")
    ] = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    settings: ServerSettings = None,
    as_json: Json = False,
) -> None:
    """Bring a backup back into the storage of these settings, of any kind. Stop its servers first.

    Everything is verified. A restore that is interrupted changed no row, and
    goes on when it is run again. Exit status 1: stored files of the backup are
    damaged and set in quarantine; the rest was restored.
    """
    with open_storage(data_dir, config, settings, checks_schema=False, creates=True) as state:
        from adapterd.terminal import render
        from adapters_registry.storage.backup.place import BackupPlace
        from server.upkeep.carried_over import CarriedOver
        from server.upkeep.storage import build_restore, record

        carried = CarriedOver(state.database)
        with storage_progress("restore", quiet=as_json) as on_bytes:
            work = build_restore(state, BackupPlace(location, reads_only=True))
            made = work.run(
                backup_id=backup_id,
                replace=replace,
                on_bytes=on_bytes,
                carry_over=carried,
            )
        record(
            state,
            "storage.restore",
            made.id,
            location=location,
            replace=replace,
            erased_since=carried.erasures,
        )
    if as_json:
        facts = {"revoked_keys": carried.revoked_keys, "erasures": carried.erasures}
        render.print_json({**render.to_plain(made), **facts, "damaged": work.damaged})
    else:
        _tell_carried_over(carried)
        render.print_line(f"restored {made.id}: {render.count(made.num_blobs, 'stored file')}")
    if made.lost and not as_json:
        typer.echo(f"{len(made.lost)} of them were lost before the backup was made", err=True)
    if work.damaged:
        _tell_damaged(work.damaged)
        raise typer.Exit(ExitCode.FAILED)


def _tell_damaged(reasons: Mapping[str, str]) -> None:
    advice = (
        f"{len(reasons)} of them are in quarantine; `adapterd doctor --storage` names who needs "
        "them, and `--repair --from` mends them from another backup"
    )
    typer.echo("\n".join([*reasons.values(), advice]), err=True)


def _tell_carried_over(carried: CarriedOver) -> None:
    if carried.revoked_keys:
        keys = ", ".join(carried.revoked_keys)
        typer.echo(f"revoked since the backup, and revoked still: {keys}", err=True)
    for tenant, what in carried.erasures:
        command = f"tenant {what}" if what == tenant else f"file {what} --tenant {tenant}"
        typer.echo(
            f"erased since the backup, and back: run `adapterd erase {command} --yes --now` again",
            err=True,
        )


def _size(num_bytes: int) -> str:
    from adapterd.terminal.table import format_bytes

    return format_bytes(num_bytes)
