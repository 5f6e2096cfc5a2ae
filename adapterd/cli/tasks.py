"""`adapterd tasks`: the tasks of a server."""

from __future__ import annotations

from typing import Annotated

import typer

from adapterd.cli.options import Json


def tasks(
    task: Annotated[str | None, typer.Argument(help="Show only this task.")] = None,
    as_json: Json = False,
) -> None:
    """List the tasks and their aliases."""
    from adapterd.client.client import Client
    from adapterd.terminal import render

    with Client() as client:
        listing = [client.task(task)] if task else list(client.tasks())
    if as_json:
        render.print_json(listing[0] if task else listing)
    else:
        render.print_tasks(listing)
