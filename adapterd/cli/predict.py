"""`adapterd predict`: sends texts to a task and prints its answers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapterd.cli.connect import connect
from adapterd.cli.options import (
    Compose,
    Json,
    MaxTokens,
    ProfileName,
    Ref,
    Seed,
    Stop,
    Temperature,
    TopK,
    TopP,
    Url,
)
from adapterd.errors import BadSetting, Refused

if TYPE_CHECKING:
    from adapterd.calls.call_options import GenerationOptions, PredictOptions
    from adapterd.calls.inputs import Text


def predict(
    ref: Ref,
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT…",
            help="Input texts; without any, or with `-`, each line of stdin is one.",
        ),
    ] = None,
    pair: Annotated[str | None, typer.Option(help="Second text of a pair, for each TEXT.")] = None,
    question: Annotated[str | None, typer.Option(help="Question about each TEXT.")] = None,
    raw_scores: Annotated[
        bool, typer.Option("--raw-scores", help="Print logits instead of probabilities.")
    ] = False,
    dimensions: Annotated[
        int | None, typer.Option(help="Length of the embedding; default: full length.")
    ] = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    seed: Seed = None,
    stop: Stop = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Print generated text as it arrives.")
    ] = False,
    compose: Compose = None,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Send texts to a task and print the answers. Exits 4 if one has no answer."""
    from adapterd.terminal import render

    lines = texts if texts and texts != ["-"] else _read_lines()
    generation: GenerationOptions = _drop_none(
        max_tokens=max_tokens, temperature=temperature, top_p=top_p, top_k=top_k, seed=seed,
        stop=stop or None, compose=[_parse_weight(term) for term in compose or ()] or None,
    )  # fmt: skip
    inputs = [_make_input(text, pair, question) for text in lines]
    with connect(url, profile) as client:
        if stream:
            if raw_scores or dimensions is not None:
                raise BadSetting("--stream cannot be combined with --raw-scores or --dimensions")
            for item in inputs:
                chunks = client.predict_stream(ref, [item], **generation)
                render.print_chunks(chunks, as_json=as_json)
            return
        options: PredictOptions = _drop_none(
            **generation, dimensions=dimensions, raw_scores=raw_scores
        )
        prediction = client.predict(ref, inputs, **options)
    if as_json:
        render.print_json(prediction)
    else:
        render.print_prediction(prediction, lines)
    prediction.raise_for_errors()


def _read_lines() -> list[str]:
    try:
        return [line.rstrip("\n") for line in sys.stdin]
    except UnicodeDecodeError as error:
        raise Refused(f"stdin is not {error.encoding}: {error.reason}") from error


def _drop_none(**options: Any) -> Any:
    """Only the options that were passed; the server owns the defaults of the others."""
    return {name: value for name, value in options.items() if value is not None}


def _parse_weight(term: str) -> dict[str, Any]:
    ref, _, weight = term.partition("=")
    try:
        return {"ref": ref, "weight": float(weight or 1)}
    except ValueError:
        raise BadSetting(f"--compose {term}: {weight!r} is not a number") from None


def _make_input(text: str, pair: str | None, question: str | None) -> Text:
    from adapterd.values import Question

    if pair is not None and question is not None:
        raise BadSetting("--pair and --question cannot be combined")
    if question is not None:
        return Question(question=question, context=text)
    return text if pair is None else (text, pair)
