"""`adapterd collect`: deletes bytes that nothing refers to any more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from adapterd.cli.options import ConfigFile, Json, ServerSettings
from adapterd.cli.state_database import DataDir
from adapterd.cli.storage.opened import open_storage
from adapterd.errors import BadSetting

if TYPE_CHECKING:
    from adapters_registry.storage.collection.collection import Collection

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def collect(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be deleted, and change nothing.")
    ] = False,
    grace: Annotated[
        str, typer.Option(help="How long what nothing refers to stays, as 90s, 30m, 1h or 2d.")
    ] = "1h",
    data_dir: DataDir = None,
    config: ConfigFile = None,
    settings: ServerSettings = None,
    as_json: Json = False,
) -> None:
    """Mark stored bytes that nothing refers to, and delete those marked for the grace.

    A server does so by itself now and then. Servers may be running; bytes that
    are uploaded again meanwhile stay.
    """
    grace_s = parse_duration(grace)
    with open_storage(data_dir, config, settings) as state:
        from adapterd.terminal import render
        from server.upkeep.storage import build_collector, record

        collector = build_collector(state)
        collection = collector.preview(grace_s) if dry_run else collector.run(grace_s)
        if not dry_run and (collection.num_deleted or collection.num_orphans):
            size = collection.deleted_bytes + collection.orphan_bytes
            record(
                state, "storage.collect", "blobs", num_blobs=collection.num_deleted, num_bytes=size
            )
    if as_json:
        render.print_json(collection)
    else:
        _print(collection, dry_run=dry_run)


def parse_duration(text: str) -> float:
    """In seconds. Raises BadSetting."""
    match = re.fullmatch(r"(\d+)([smhd]?)", text)
    if match is None:
        raise BadSetting(f"--grace {text}: pass a number with s, m, h or d, such as 1h")
    return int(match[1]) * _UNITS[match[2] or "s"]


def _print(collection: Collection, *, dry_run: bool) -> None:
    from adapterd.terminal import render
    from adapterd.terminal.table import size_cell

    gone = "would be deleted" if dry_run else "deleted"
    marked = "would be marked, to be deleted after the grace" if dry_run else "marked for later"
    rows = [
        (gone, collection.num_deleted, size_cell(collection.deleted_bytes)),
        (
            f"{gone}, left by writers that died",
            collection.num_orphans,
            size_cell(collection.orphan_bytes),
        ),
        (marked, collection.num_marked, size_cell(collection.marked_bytes)),
    ]
    render.print_table("stored bytes that nothing needs", ("what", "objects", "bytes"), rows)
    if collection.kept_by_tenant:
        kept = [(name, size_cell(size)) for name, size in sorted(collection.kept_by_tenant.items())]
        render.print_table("bytes that stay", ("tenant", "bytes"), kept)
    if collection.held_by:
        typer.echo(f"nothing was deleted: {collection.held_by}", err=True)
