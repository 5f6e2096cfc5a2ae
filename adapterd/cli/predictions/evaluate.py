"""`adapterd evaluate`: the figures of a report for a version on a labelled file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapterd.cli.connect import connect
from adapterd.cli.data_file import read_data_path
from adapterd.cli.options import Json, ProfileName, Ref, Url
from adapterd.cli.platform_packages import require_platform

if TYPE_CHECKING:
    from adapterd.cli.predictions.version_answers import VersionAnswers
    from trainer.report.file_evaluation import FileEvaluation

LabelledPath = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", parser=read_data_path,
        help="Labelled rows, in any format that `adapterd train` takes.",
    ),
]  # fmt: skip
EvaluatedText = Annotated[
    str | None, typer.Option(help="Column with the text; default: that of the training.")
]
EvaluatedPair = Annotated[
    str | None, typer.Option(help="Column with the second text; default: that of the training.")
]
EvaluatedLabel = Annotated[
    str | None, typer.Option(help="Column with the label; default: that of the training.")
]
HeldOut = Annotated[
    bool,
    typer.Option(
        "--held-out", help="Of the version's own training file, take its test rows alone."
    ),
]

_MOST_ROWS = 10


def evaluate(
    ref: Ref,
    file: LabelledPath,
    text_column: EvaluatedText = None,
    text_pair_column: EvaluatedPair = None,
    label_column: EvaluatedLabel = None,
    held_out: HeldOut = False,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Evaluate a version on a labelled file. Exits 4 if a row has no answer."""
    require_platform()
    from adapterd.cli.predictions.labelled_file import ColumnChoice, read_labelled_file
    from adapterd.cli.predictions.version_answers import VersionAnswers
    from adapterd.terminal import render
    from trainer.report.file_evaluation import evaluate_file

    columns = ColumnChoice(text=text_column, text_pair=text_pair_column, label=label_column)
    with connect(url, profile) as client:
        version = client.version(ref)
        rows = read_labelled_file(file, version, columns, held_out=held_out)
        answers = VersionAnswers.ask(client, version, rows)
    if len(answers.errors) == len(rows.examples):
        answers.raise_for_errors()
    evaluation = evaluate_file(answers.without(answers.errors))
    if as_json:
        render.print_json(_to_json(answers, evaluation, held_out=held_out))
    else:
        _print(answers, evaluation)
    answers.raise_for_errors()


def _to_json(
    answers: VersionAnswers, evaluation: FileEvaluation, *, held_out: bool
) -> dict[str, Any]:
    from adapterd.cli.predictions.labelled_file import count_parts

    version = answers.version
    return {
        "task": version.task,
        "version": version.version,
        "digest": version.digest,
        "file": answers.file.name,
        "held_out": held_out,
        #: of the version's own split, if this is the file it was trained on
        "parts": count_parts(answers.file, version),
        "notes": list(answers.list_notes()),
        "failed": len(answers.errors),
        **evaluation,
    }


def _print(answers: VersionAnswers, evaluation: FileEvaluation) -> None:
    from adapterd.terminal import render

    rows = render.count(evaluation["rows"], "row")
    render.print_line(f"{answers.name} on {rows} of {answers.file.name}")
    if headline := evaluation["headline"]:
        metric = headline["metric"].replace("_", " ")
        interval = f"{headline['low']:.3f} to {headline['high']:.3f}"
        render.print_line(f" • {metric} {headline['value']:.3f}, 95 % interval {interval}")
    if calibration := evaluation["calibration"]:
        render.print_line(
            f" • expected calibration error {calibration['ece']:.3f}, log loss "
            f"{calibration['loss']:.3f}"
        )
    for note in answers.list_notes():
        render.print_warning(note)
    columns = ("metric", "value", "low", "high")
    render.print_table("metrics", columns, _list_metrics(evaluation))
    _print_parts(evaluation)


def _list_metrics(evaluation: FileEvaluation) -> Iterator[tuple[str, ...]]:
    from adapterd.cli.predictions.labelled_answers import format_number

    for name, value in evaluation["metrics"].items():
        if not isinstance(value, Mapping):
            interval: Mapping[str, Any] = evaluation["intervals"].get(name, {})
            ends = (format_number(interval.get(end)) for end in ("low", "high"))
            yield name, format_number(value), *ends


def _print_parts(evaluation: FileEvaluation) -> None:
    """Labels, confusions and slices; a section without rows is left out."""
    from adapterd.cli.predictions.labelled_answers import format_number
    from adapterd.terminal import render

    classes = [
        (row["label"], row["rows"], *(format_number(row[n]) for n in ("precision", "recall", "f1")))
        for row in evaluation["classes"][:_MOST_ROWS]
    ]
    confusion = evaluation["confusion"]
    mistakes = confusion["mistakes"][:_MOST_ROWS] if confusion else []
    slices = [
        (part["slice"], part["rows"], format_number(part["value"]), format_number(part["gap"]))
        for part in evaluation["slices"][:_MOST_ROWS]
    ]
    if classes:
        columns = ("label", "rows", "precision", "recall", "f1")
        render.print_table("labels, lowest F1 first", columns, classes)
    if mistakes:
        pairs = [(each["label"], each["answer"], each["rows"]) for each in mistakes]
        render.print_table("confusions", ("label", "answer", "rows"), pairs)
    if slices:
        render.print_table(
            "where it does worst", ("slice", "rows", "value", "gap"), slices, wrapped=("slice",)
        )
