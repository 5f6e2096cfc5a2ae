"""`adapterd predict`: texts in, one answer each."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapterd.cli.options import Json, Ref
from adapterd.errors import BadSetting

if TYPE_CHECKING:
    from adapterd.call_options import PredictOptions
    from adapterd.wire import Text


def predict(
    ref: Ref,
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT…", help="The texts; `-` or none: one per line of stdin."),
    ] = None,
    pair: Annotated[str, typer.Option(help="The second text of a pair with each TEXT.")] = "",
    question: Annotated[str, typer.Option(help="What to ask about each TEXT.")] = "",
    raw_scores: Annotated[
        bool, typer.Option("--raw-scores", help="Logits instead of probabilities.")
    ] = False,
    dimensions: Annotated[
        int | None, typer.Option(help="How many numbers of an embedding; default: all.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="How much may be written; default: as the task says.")
    ] = None,
    compose: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REF=WEIGHT", help="Adapters that act, weighted, in place of the task's own."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask a task. Exits 4 if an input has no answer; the others are printed."""
    from adapterd.cli import render
    from adapterd.client import Client

    inputs = texts if texts and texts != ["-"] else [line.rstrip("\n") for line in sys.stdin]
    options: PredictOptions = {"raw_scores": raw_scores}
    if dimensions is not None:
        options["dimensions"] = dimensions
    if max_tokens is not None:
        options["max_tokens"] = max_tokens
    if compose:
        options["compose"] = [_part(each) for each in compose]
    with Client() as client:
        asked = [_input(text, pair, question) for text in inputs]
        prediction = client.predict(ref, asked, **options)
    if as_json:
        render.print_json(prediction)
    else:
        render.print_prediction(prediction, inputs)
    prediction.raise_for_rows()


def _part(given: str) -> dict[str, Any]:
    ref, _, weight = given.partition("=")
    try:
        return {"ref": ref, "weight": float(weight or 1)}
    except ValueError:
        raise BadSetting(f"--compose {given}: {weight!r} is no number") from None


def _input(text: str, pair: str, question: str) -> Text:
    from adapterd.values import Question

    if pair and question:
        raise BadSetting("--pair and --question: an input is a pair or a question, not both")
    if question:
        return Question(question=question, context=text)
    return (text, pair) if pair else text
