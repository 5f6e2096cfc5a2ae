"""`adapterd files`: uploaded files, and the names under which they are stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapterd.cli.connect import connect
from adapterd.cli.data_file import read_data_path, refuse_other_formats
from adapterd.cli.options import Json, ProfileName, Url
from adapterd.cli.resources.ids import find_file

if TYPE_CHECKING:
    from adapterd.client.client import Client
    from adapterd.values import Erasure, File

FileOrName = Annotated[
    str, typer.Argument(metavar="FILE", help="Name or id of a stored file, or the id's start.")
]


def build() -> typer.Typer:
    app = typer.Typer(help="List, upload and delete files of rows.", no_args_is_help=True)
    app.command("list")(list_files)
    for command in (show, upload, delete):
        app.command()(command)
    return app


def list_files(
    name: Annotated[str, typer.Option(help="List only the file with this name.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of files, newest first.")] = 50,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """List the stored files."""
    from itertools import islice

    from adapterd.terminal import render

    with connect(url, profile) as client:
        files = list(islice(client.files(name=name), limit))
    render.print_json(files) if as_json else render.print_files(files)


def show(
    file: FileOrName, url: Url = None, profile: ProfileName = None, as_json: Json = False
) -> None:
    """Show a stored file, and the versions that were trained on it."""
    from adapterd.terminal import render

    with connect(url, profile) as client:
        stored = find_file(client, file)
        versions = client.versions_made_from_sha256(stored.sha256)
    refs = [f"{version.task}@{version.version}" for version in versions]
    if as_json:
        render.print_json({**render.to_plain(stored), "versions": refs})
    else:
        render.print_file(stored, refs)


def upload(
    path: Annotated[
        Path, typer.Argument(parser=read_data_path, metavar="PATH", help="File of labelled rows.")
    ],
    name: Annotated[
        str, typer.Option(help="Store it under this name; `train --data dataset:NAME` uses it.")
    ] = "",
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Upload a file, unless its content is stored already. A name moves to the newest file."""
    from adapterd.terminal import render

    refuse_other_formats(path)
    with connect(url, profile) as client:
        file, is_new = store_file(client, path, quiet=as_json, name=name)
    if as_json:
        render.print_json(file)
        return
    typer.echo(file.id)
    if not is_new:
        typer.echo(f"{path.name} was stored already as {file.id}", err=True)
    elif name:
        typer.echo(f"`adapterd train TASK --data dataset:{name}` trains on it", err=True)


def delete(
    file: FileOrName,
    with_versions: Annotated[
        bool,
        typer.Option(
            "--with-versions", help="With every version made from it; needs --yes to delete."
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete what --with-versions only lists without it.")
    ] = False,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Delete a stored file that no queued or running job needs."""
    from adapterd.terminal import render

    with connect(url, profile) as client:
        stored = find_file(client, file)
        if with_versions:
            _show_erasure(client.erase_file(stored.id, dry_run=not yes), yes, as_json)
            return
        client.delete_file(stored.id)
    if as_json:
        render.print_json({"deleted": {"file": stored.id}})
    else:
        render.print_line(f"deleted {stored.id} ({stored.filename})")


def _show_erasure(erasure: Erasure, is_done: bool, as_json: bool) -> None:
    from adapterd.terminal import render

    if as_json:
        render.print_json({**render.to_plain(erasure), "erased": is_done})
        return
    facts = {
        name: ", ".join(getattr(erasure, name)) or None
        for name in ("files", "versions", "aliases", "jobs")
    }
    render.print_facts("deleted" if is_done else "would be deleted", facts)
    if not is_done:
        typer.echo("nothing was changed; pass --yes to delete it", err=True)


def store_file(client: Client, path: Path, *, quiet: bool, name: str = "") -> tuple[File, bool]:
    """With a progress bar, where the content has to be uploaded."""
    from adapterd.terminal.progress import upload_progress

    with upload_progress(path.name, quiet=quiet) as on_bytes:
        return client.store_file(path, on_bytes, name=name)
