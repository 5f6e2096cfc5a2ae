"""`adapterd check`: what is wrong with a labelled file, before anything is trained on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapterd.cli.exit_codes import ExitCode
from adapterd.cli.options import DataFile, Json
from adapterd.cli.settings_option import parse_settings

if TYPE_CHECKING:
    from adapterd.calls.call_options import TrainingOptions
    from adapterd.values import FileCheck, Finding

_ROWS = ("file", "train", "dev", "test")
_MARKS = {"error": "[red]error[/]", "warning": "[yellow]warning[/]", "info": "[cyan]info[/]"}


def check(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            readable=True,
            help="Labelled rows in any format of docs/data.md.",
        ),
    ],
    head: Annotated[
        str, typer.Option(help="classify, tag, regress, span, embed, rerank or generate.")
    ],
    dev_data: DataFile = None,
    test_data: DataFile = None,
    text_column: Annotated[str, typer.Option(help="The column with the text.")] = "text",
    text_pair_column: Annotated[
        str, typer.Option(help="The column with a second text, for tasks over pairs.")
    ] = "",
    label_column: Annotated[str, typer.Option(help="The column with the label.")] = "label",
    kind: Annotated[str, typer.Option(help="The adapter that is to be trained.")] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A training setting (docs/training.md)."),
    ] = None,
    server: Annotated[
        bool,
        typer.Option(
            "--server", help="Ask the running server, which also knows its base's tokenizer."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Check a labelled FILE as training would, here and without a server. Exits 1 on errors."""
    from adapterd.cli import local_check

    options: TrainingOptions = {
        "head": head,
        "text_column": text_column,
        "text_pair_column": text_pair_column,
        "label_column": label_column,
        "kind": kind,
        "settings": parse_settings(settings or []),
    }
    paths = {"file_id": data, "dev_file_id": dev_data, "test_file_id": test_data}
    given = {name: path for name, path in paths.items() if path}
    ask = _ask_server if server else local_check.local_check
    found = ask(given, options)
    _show(data, found, as_json=as_json)
    if not found.ok:
        raise typer.Exit(ExitCode.FAILED)


def _ask_server(paths: dict[str, Path], options: TrainingOptions) -> FileCheck:
    """What was uploaded to be looked at is not kept."""
    from adapterd.client.client import Client
    from adapterd.settings import ClientSettings
    from adapterd.wire.transfer import Fetch, Transfer

    transfer = Transfer(ClientSettings.load())
    ids: dict[str, str] = {}
    with Client() as client:
        try:
            for name, path in paths.items():
                ids[name] = client.upload(path).id
            return client.check_file(ids, **options)
        finally:
            for file_id in ids.values():
                transfer.send(Fetch(method="DELETE", path=f"/v1/files/{file_id}"))
            transfer.close()


def _show(data: Path, found: FileCheck, *, as_json: bool) -> None:
    from adapterd.terminal import render

    if as_json:
        render.print_json(found)
        return
    rows = ", ".join(f"{name} {found.rows[name]}" for name in _ROWS if name in found.rows)
    _print_findings(f"{data.name}: {rows}", found.findings)
    errors = sum(finding.severity == "error" for finding in found.findings)
    verdict = f"would train a {found.kind}" if found.ok else f"refused: {errors} errors"
    render.print_line(verdict)


def _print_findings(title: str, findings: tuple[Finding, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for each in findings:
        table.add_row(f"{_MARKS[each.severity]}\n{each.code}", _said(each), end_section=True)
    Console().print(table)


def _said(finding: Finding) -> str:
    from rich.markup import escape

    shown = [f"[dim]  line {each.line}: {escape(each.text)}[/]" for each in finding.samples[:3]]
    return "\n".join([escape(finding.message), *shown])
