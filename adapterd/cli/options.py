"""Arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
TaskName = Annotated[str, typer.Argument(metavar="TASK", help="A task's name.")]
Ref = Annotated[str, typer.Argument(metavar="REF", help="task, task@7 or task@alias.")]
AliasName = Annotated[str, typer.Option("--alias", help="Which alias of the task.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="A job's id.")]
Promote = Annotated[
    bool,
    typer.Option("--promote", help="Point `production` at the new version (the first always is)."),
]
DataFile = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, readable=True)]
Temperature = Annotated[
    float | None, typer.Option(help="0: the likeliest token, always; default: 0.")
]
TopP = Annotated[float | None, typer.Option(help="Only the likeliest that reach this share.")]
TopK = Annotated[int | None, typer.Option(help="Only so many of the likeliest tokens.")]
Seed = Annotated[int | None, typer.Option(help="The same seed writes the same text again.")]
Stop = Annotated[
    list[str] | None, typer.Option(help="A string that ends the text; may be repeated.")
]
