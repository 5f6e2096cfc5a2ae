"""`adapterd tasks`: the tasks of a server."""

from __future__ import annotations

from typing import Annotated

import typer

from adapterd.cli.connect import connect
from adapterd.cli.options import Json, ProfileName, Url


def tasks(
    task: Annotated[str | None, typer.Argument(help="Show only this task.")] = None,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """List the tasks and their aliases."""
    from adapterd.terminal import render

    with connect(url, profile) as client:
        listing = [client.task(task)] if task else list(client.tasks())
    if as_json:
        render.print_json(listing[0] if task else listing)
    else:
        render.print_tasks(listing)
