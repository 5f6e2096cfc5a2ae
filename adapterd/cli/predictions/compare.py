"""`adapterd compare`: two versions on the same labelled rows, by the paired test of the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapterd.cli.connect import connect
from adapterd.cli.data_file import read_data_path
from adapterd.cli.exit_codes import ExitCode
from adapterd.cli.options import Json, ProfileName, Url
from adapterd.cli.platform_packages import require_platform
from adapterd.cli.predictions.evaluate import (
    EvaluatedLabel,
    EvaluatedPair,
    EvaluatedText,
    HeldOut,
)
from adapterd.errors import Refused
from adapterd.values import Version

if TYPE_CHECKING:
    from adapterd.cli.predictions.differing_rows import DifferingRow
    from adapterd.cli.predictions.version_answers import VersionAnswers
    from trainer.report.file_evaluation import VersionComparison

First = Annotated[str, typer.Argument(metavar="A", help="The version in question, as a ref.")]
Second = Annotated[str, typer.Argument(metavar="B", help="The version to beat, as a ref.")]
Data = Annotated[
    Path,
    typer.Option(
        "--data", metavar="FILE", parser=read_data_path,
        help="Labelled rows, in any format that `adapterd train` takes.",
    ),
]  # fmt: skip
Show = Annotated[int, typer.Option(min=0, help="How many rows that differ are shown.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="All rows that differ: .csv or .jsonl."),
]


def compare(
    first: First,
    second: Second,
    data: Data,
    text_column: EvaluatedText = None,
    text_pair_column: EvaluatedPair = None,
    label_column: EvaluatedLabel = None,
    held_out: HeldOut = False,
    show: Show = 10,
    output: Output = None,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Compare two versions on a labelled file. Exits 7 if A is significantly worse than B."""
    require_platform()
    from adapterd.cli.predictions.differing_rows import check_output, list_differing, write_rows
    from adapterd.cli.predictions.labelled_file import ColumnChoice, read_labelled_file
    from adapterd.cli.predictions.version_answers import VersionAnswers
    from trainer.report.file_evaluation import compare_files

    check_output(output)
    columns = ColumnChoice(text=text_column, text_pair=text_pair_column, label=label_column)
    with connect(url, profile) as client:
        versions = client.version(first), client.version(second)
        _check_comparable(*versions)
        rows = read_labelled_file(data, versions[0], columns, held_out=held_out)
        ours, theirs = (VersionAnswers.ask(client, version, rows) for version in versions)
    failed = {**theirs.errors, **ours.errors}
    for answers in (ours, theirs):
        if len(answers.errors) == len(rows.examples):
            answers.raise_for_errors()
    files = ours.without(failed), theirs.without(failed)
    comparison = compare_files(*files, (ours.name, theirs.name))
    differing = list_differing(*files)
    if output is not None:
        write_rows(output, differing, (ours.name, theirs.name))
    if as_json:
        _print_json(ours, theirs, comparison, differing, show)
    else:
        _print(ours, theirs, comparison, differing, show, output)
    for answers in (ours, theirs):
        answers.raise_for_errors()
    if comparison["decision"] == "worse":
        raise typer.Exit(ExitCode.DO_NOT_SHIP)


def _check_comparable(first: Version, second: Version) -> None:
    """Raises Refused where the answers could not be held against the same labels."""
    names = [f"{version.task}@{version.version}" for version in (first, second)]
    if first.head != second.head:
        raise Refused(f"{names[0]} has the head {first.head}, and {names[1]} has {second.head}.")
    ours, theirs = set(first.labels), set(second.labels)
    if ours != theirs:
        only = [
            f"only {name} has {', '.join(sorted(labels)[:5])}"
            for name, labels in ((names[0], ours - theirs), (names[1], theirs - ours))
            if labels
        ]
        raise Refused(f"{names[0]} and {names[1]} have other labels: {'; '.join(only)}.")


def _print_json(
    ours: VersionAnswers,
    theirs: VersionAnswers,
    comparison: VersionComparison,
    differing: list[DifferingRow],
    show: int,
) -> None:
    from adapterd.terminal import render

    body: dict[str, Any] = {
        "a": {"ref": ours.name, "digest": ours.version.digest, "failed": len(ours.errors)},
        "b": {"ref": theirs.name, "digest": theirs.version.digest, "failed": len(theirs.errors)},
        "file": ours.file.name,
        "rows": len(ours.file.examples) - len({**ours.errors, **theirs.errors}),
        "notes": list(dict.fromkeys([*ours.list_notes(), *theirs.list_notes()])),
        **comparison,
        "num_differing": len(differing),
        "differing": [row.to_dict() for row in differing[:show]],
    }
    render.print_json(body)


def _print(
    ours: VersionAnswers,
    theirs: VersionAnswers,
    comparison: VersionComparison,
    differing: list[DifferingRow],
    show: int,
    output: Path | None,
) -> None:
    from adapterd.terminal import render

    render.print_line(comparison["words"])
    for note in dict.fromkeys([*ours.list_notes(), *theirs.list_notes()]):
        render.print_warning(note)
    total = len(ours.file.examples)
    where = f"; all are in {output}" if output else ""
    render.print_line(f"{len(differing):,} of {render.count(total, 'row')} differ{where}")
    if differing and show:
        columns = ("line", "text", "label", ours.name, theirs.name)
        cells = [(row.line, row.text, row.label, row.ours, row.theirs) for row in differing[:show]]
        render.print_table("rows that differ", columns, cells, wrapped=("text",))
