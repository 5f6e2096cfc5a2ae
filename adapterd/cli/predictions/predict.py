"""`adapterd predict`: sends texts, or the rows of a file, to a task and gives its answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
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
from adapterd.cli.settings_option import parse_settings
from adapterd.errors import BadSetting, Refused

if TYPE_CHECKING:
    from adapterd.calls.call_options import PredictOptions
    from adapterd.cli.predictions.predict_file import FileOptions
    from adapterd.client.client import Client

Texts = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[TEXT… | FILE]",
        help="Input texts, or one file of rows (texts, JSON Lines or CSV); without any, or with "
        "`-`, stdin is that file.",
    ),
]
Input = Annotated[Path | None, typer.Option("--input", "-i", metavar="FILE", help="File of rows.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Rows with answers: .csv, .tsv, .jsonl."),
]
Format = Annotated[
    str | None, typer.Option("--format", help="Format of the rows: csv, tsv, jsonl or table.")
]
RowTextColumn = Annotated[str | None, typer.Option(help="Column with the text; default: `text`.")]
RowPairColumn = Annotated[str | None, typer.Option(help="Column with the second text of a pair.")]
Prefix = Annotated[str, typer.Option(help="Beginning of the names of the new columns.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted --output FILE.")]
Pair = Annotated[str | None, typer.Option(help="Second text of a pair, for each text.")]
Question = Annotated[str | None, typer.Option(help="Question about each text.")]
RawScores = Annotated[
    bool, typer.Option("--raw-scores", help="Give logits instead of probabilities.")
]
Truncate = Annotated[
    bool, typer.Option("--truncate", help="Cut texts at the length that the base reads.")
]
Dimensions = Annotated[
    int | None, typer.Option(help="Length of the embedding; default: full length.")
]
Stream = Annotated[bool, typer.Option("--stream", help="Print generated text as it arrives.")]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        metavar="NAME=VALUE",
        help="Any other parameter of the HTTP API, such as min_p=0.1; may be repeated.",
    ),
]

#: what files of rows are called, and hardly a text
_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".xlsx")


def predict(
    ref: Ref,
    texts: Texts = None,
    input_file: Input = None,
    output: Output = None,
    output_format: Format = None,
    text_column: RowTextColumn = None,
    text_pair_column: RowPairColumn = None,
    prefix: Prefix = "predicted_",
    resume: Resume = False,
    pair: Pair = None,
    question: Question = None,
    raw_scores: RawScores = False,
    truncate: Truncate = False,
    dimensions: Dimensions = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    seed: Seed = None,
    stop: Stop = None,
    stream: Stream = False,
    compose: Compose = None,
    param: Parameters = None,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Send texts, or the rows of a file, to a task. Exits 4 if one has no answer."""
    from adapterd.batch.input_row import InputColumns
    from adapterd.cli.predictions.predict_file import FileOptions, predict_file

    options: PredictOptions = _drop_none(
        max_tokens=max_tokens, temperature=temperature, top_p=top_p, top_k=top_k, seed=seed,
        stop=stop or None, compose=[_parse_weight(term) for term in compose or ()] or None,
        dimensions=dimensions, raw_scores=raw_scores or None, truncate=truncate or None,
    ) | parse_settings(param or [], "--param")  # fmt: skip
    if pair is not None and question is not None:
        raise BadSetting("--pair and --question cannot be combined")
    _check_output(output, output_format, resume=resume, stream=stream, as_json=as_json)
    typed, source = _choose_source(texts, input_file)
    files = FileOptions(
        source=source, columns=InputColumns(text=text_column, text_pair=text_pair_column),
        output=output, format=output_format, as_json=as_json, resume=resume, prefix=prefix,
        pair=pair, question=question,
    )  # fmt: skip
    with connect(url, profile) as client:
        if stream:
            _stream(client, ref, files, typed, options)
        elif typed is None:
            predict_file(client, ref, files, options)
        else:
            _predict_texts(client, ref, files, typed, options)


def _check_output(
    output: Path | None, output_format: str | None, *, resume: bool, stream: bool, as_json: bool
) -> None:
    """Raises BadSetting for options that exclude each other."""
    if resume and output is None:
        raise BadSetting("--resume goes on with an interrupted --output FILE; pass that file too.")
    if stream and (output is not None or output_format is not None):
        raise BadSetting("--stream cannot be combined with --output or --format")
    if as_json and output is None and output_format is not None:
        raise BadSetting("--json and --format both choose what is printed; pass one of them.")


def _choose_source(
    texts: list[str] | None, input_file: Path | None
) -> tuple[list[str] | None, Path | None]:
    """The texts of the command line, or None and the file of rows, which is None for stdin."""
    if input_file is not None:
        if texts:
            raise BadSetting(f"Pass texts or --input {input_file}, not both.")
        return None, None if str(input_file) == "-" else input_file
    if not texts or texts == ["-"]:
        return None, None
    if len(texts) == 1 and _is_file(texts[0]):
        return None, Path(texts[0])
    return texts, None


def _is_file(text: str) -> bool:
    """Raises BadSetting for what seems to be a file, and is none that can be read as rows."""
    if text.startswith(("http://", "https://")) and " " not in text:
        raise BadSetting(f"{text} is a URL; download it and pass the file.")
    try:
        path = Path(text)
        if path.is_file() or path.is_fifo():  # a FIFO is what `<(command)` of a shell passes
            return True
        if path.is_dir():
            raise BadSetting(
                f"{text} is a folder; pass a file of texts, JSON Lines or CSV. A text with this "
                "name can be sent with stdin."
            )
    except (OSError, ValueError):  # a text that no path could be
        return False
    if text.lower().endswith(_SUFFIXES) and " " not in text:
        raise BadSetting(f"There is no file {text}; a text with this name can be sent with stdin.")
    return False


def _predict_texts(
    client: Client, ref: str, files: FileOptions, texts: list[str], options: PredictOptions
) -> None:
    from adapterd.terminal import render

    if files.output is not None or files.format is not None:
        raise BadSetting("--output and --format are for rows; pass the texts with --input or stdin")
    if files.columns.text is not None or files.columns.text_pair is not None:
        raise BadSetting("--text-column and --text-pair-column are for a file; pass one")
    prediction = client.predict(ref, [files.build_input(text) for text in texts], **options)
    if files.as_json:
        render.print_json(prediction.to_dict())
    else:
        render.print_prediction(prediction, texts)
    prediction.raise_for_errors()


def _stream(
    client: Client,
    ref: str,
    files: FileOptions,
    texts: list[str] | None,
    options: PredictOptions,
) -> None:
    from adapterd.terminal import render

    if options.keys() & {"raw_scores", "dimensions"}:
        raise BadSetting("--stream cannot be combined with --raw-scores or --dimensions")
    for number, value in enumerate(_read_inputs(files, texts)):
        chunks = client.predict_stream(ref, [value], **options)  # type: ignore[misc]
        # each is the only input of its call, and one of many of the command
        numbered = (replace(chunk, input=number) for chunk in chunks)
        render.print_chunks(numbered, as_json=files.as_json)


def _read_inputs(files: FileOptions, texts: list[str] | None) -> Iterator[Any]:
    from adapterd.cli.predictions.predict_file import open_source

    if texts is not None:
        yield from map(files.build_input, texts)
        return
    with open_source(files) as source:
        for row in source.read():
            if row.problem:
                raise Refused(f"Line {row.line} of {source.name} cannot be sent: {row.problem}.")
            yield files.build_input(row.value)


def _drop_none(**options: Any) -> Any:
    """Only the options that were passed; the server owns the defaults of the others."""
    return {name: value for name, value in options.items() if value is not None}


def _parse_weight(term: str) -> dict[str, Any]:
    ref, _, weight = term.partition("=")
    try:
        return {"ref": ref, "weight": float(weight or 1)}
    except ValueError:
        raise BadSetting(f"--compose {term}: {weight!r} is not a number") from None
