"""`adapterd tasks`: what there is."""

from __future__ import annotations

from typing import Annotated

import typer

from adapterd.cli.options import Json


def tasks(
    task: Annotated[str | None, typer.Argument(help="Only this task.")] = None,
    as_json: Json = False,
) -> None:
    """List the tasks, with where their aliases point."""
    from adapterd.client.client import Client
    from adapterd.terminal import render

    with Client() as client:
        found = [client.task(task)] if task else list(client.tasks())
    if as_json:
        render.print_json(found[0] if task else found)
    else:
        render.print_tasks(found)
