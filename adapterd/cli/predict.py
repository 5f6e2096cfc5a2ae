"""`adapterd predict`: texts in, one answer each."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapterd.cli.options import Json, Ref, Seed, Stop, Temperature, TopK, TopP
from adapterd.errors import BadSetting, Refused

if TYPE_CHECKING:
    from adapterd.calls.call_options import GenerationOptions, PredictOptions
    from adapterd.calls.inputs import Text


def predict(
    ref: Ref,
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT…", help="The texts; `-` or none: one per line of stdin."),
    ] = None,
    pair: Annotated[
        str | None, typer.Option(help="The second text of a pair with each TEXT.")
    ] = None,
    question: Annotated[str | None, typer.Option(help="What to ask about each TEXT.")] = None,
    raw_scores: Annotated[
        bool, typer.Option("--raw-scores", help="Logits instead of probabilities.")
    ] = False,
    dimensions: Annotated[
        int | None, typer.Option(help="How many numbers of an embedding; default: all.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="How much may be written; default: as the task says.")
    ] = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    seed: Seed = None,
    stop: Stop = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Print what is written as it is written.")
    ] = False,
    compose: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REF=WEIGHT", help="Adapters that act, weighted, in place of the task's own."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask a task. Exits 4 if an input has no answer; the others are printed."""
    from adapterd.client.client import Client
    from adapterd.terminal import render

    inputs = texts if texts and texts != ["-"] else _lines()
    writing: GenerationOptions = _said(
        max_tokens=max_tokens, temperature=temperature, top_p=top_p, top_k=top_k, seed=seed,
        stop=stop or None, compose=[_part(each) for each in compose or ()] or None,
    )  # fmt: skip
    asked = [_input(text, pair, question) for text in inputs]
    with Client() as client:
        if stream:
            if raw_scores or dimensions is not None:
                raise BadSetting("--stream: written text has no --raw-scores and no --dimensions")
            for each in asked:
                render.print_pieces(client.predict_stream(ref, [each], **writing), as_json=as_json)
            return
        options: PredictOptions = _said(**writing, dimensions=dimensions, raw_scores=raw_scores)
        prediction = client.predict(ref, asked, **options)
    if as_json:
        render.print_json(prediction)
    else:
        render.print_prediction(prediction, inputs)
    prediction.raise_for_rows()


def _lines() -> list[str]:
    try:
        return [line.rstrip("\n") for line in sys.stdin]
    except UnicodeDecodeError as error:
        raise Refused(f"the texts on stdin are not {error.encoding}: {error.reason}") from error


def _said(**options: Any) -> Any:
    """Without those that were left out, whose defaults the server knows."""
    return {name: value for name, value in options.items() if value is not None}


def _part(given: str) -> dict[str, Any]:
    ref, _, weight = given.partition("=")
    try:
        return {"ref": ref, "weight": float(weight or 1)}
    except ValueError:
        raise BadSetting(f"--compose {given}: {weight!r} is no number") from None


def _input(text: str, pair: str | None, question: str | None) -> Text:
    from adapterd.values import Question

    if pair is not None and question is not None:
        raise BadSetting("--pair and --question: an input is a pair or a question, not both")
    if question is not None:
        return Question(question=question, context=text)
    return text if pair is None else (text, pair)
