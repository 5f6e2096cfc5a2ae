"""`adapterd predict`: texts in, one answer each."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from adapterd.cli.options import Json, Ref


def predict(
    ref: Ref,
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT…", help="The texts; `-` or none: one per line of stdin."),
    ] = None,
    raw_scores: Annotated[
        bool, typer.Option("--raw-scores", help="Logits instead of probabilities.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Ask a task. Exits 4 if an input has no answer; the others are printed."""
    from adapterd.cli import render
    from adapterd.client import Client

    inputs = texts if texts and texts != ["-"] else [line.rstrip("\n") for line in sys.stdin]
    with Client() as client:
        prediction = client.predict(ref, inputs, raw_scores=raw_scores)
    if as_json:
        render.print_json(prediction)
    else:
        render.print_prediction(prediction, inputs)
    prediction.raise_for_rows()
