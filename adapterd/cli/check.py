"""`adapterd check`: finds problems in labelled rows before a training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapterd.calls.dataset_name import dataset_name
from adapterd.cli.connect import connect
from adapterd.cli.data_file import read_data_source
from adapterd.cli.exit_codes import ExitCode
from adapterd.cli.options import (
    DevData,
    Head,
    Json,
    Kind,
    LabelColumn,
    Pooling,
    Preset,
    ProfileName,
    SplitSeed,
    TestData,
    TextColumn,
    TextPairColumn,
    TrainingSettings,
    Url,
)
from adapterd.cli.settings_option import parse_training_settings
from adapterd.errors import BadSetting

if TYPE_CHECKING:
    from adapterd.calls.call_options import TrainingOptions
    from adapterd.values import FileCheck

_ROWS = ("file", "train", "dev", "test")


def check(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            parser=read_data_source,
            help="Labelled rows; docs/data.md lists the formats.",
        ),
    ],
    head: Head,
    dev_data: DevData = None,
    test_data: TestData = None,
    text_column: TextColumn = "text",
    text_pair_column: TextPairColumn = "",
    label_column: LabelColumn = "label",
    split_seed: SplitSeed = 0,
    kind: Kind = "",
    pooling: Pooling = "",
    preset: Preset = "",
    settings: TrainingSettings = None,
    server: Annotated[
        bool,
        typer.Option(
            "--server", help="Check on the running server, which can also tokenize the rows."
        ),
    ] = False,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Check labelled rows as a training would, without a server. Exits 1 if there are errors."""
    from adapterd.cli import local_check

    options: TrainingOptions = {
        "head": head,
        "text_column": text_column,
        "text_pair_column": text_pair_column,
        "label_column": label_column,
        "split_seed": split_seed,
        "kind": kind,
        "pooling": pooling,
        "settings": parse_training_settings(settings or [], preset),
    }
    paths = {"file_id": data, "dev_file_id": dev_data, "test_file_id": test_data}
    files = {name: path for name, path in paths.items() if path}
    if server:
        result = _check_on_server(files, options, url, profile)
    else:
        if stored := next(filter(dataset_name, files.values()), None):
            raise BadSetting(f"{stored} is on the server; pass --server to check it there.")
        result = local_check.check_locally(files, options)
    _print_check(data, result, as_json=as_json)
    if not result.ok:
        raise typer.Exit(ExitCode.FAILED)


def _check_on_server(
    paths: dict[str, Path], options: TrainingOptions, url: str | None, profile: str | None
) -> FileCheck:
    """Uploads the files, checks them and deletes them again."""
    ids: dict[str, str] = {}
    made: list[str] = []
    with connect(url, profile) as client:
        try:
            for name, path in paths.items():
                if (dataset := dataset_name(path)) is not None:
                    ids[name] = client.dataset(dataset).id
                    continue
                # with the purpose `fine-tune` the upload itself would be refused, without findings
                ids[name] = client.upload(path, purpose="user_data").id
                made.append(ids[name])
            return client.check_file(ids, **options)
        finally:
            for file_id in made:
                client.delete_file(file_id)


def _print_check(data: Path, result: FileCheck, *, as_json: bool) -> None:
    from adapterd.terminal import render
    from adapterd.terminal.findings import print_findings

    if as_json:
        render.print_json(result)
        return
    rows = ", ".join(f"{name} {result.rows[name]}" for name in _ROWS if name in result.rows)
    print_findings(f"{data.name}: {rows}", result.findings)
    if result.ok:
        render.print_line(f"Ready to train: `{result.kind}`{_left_out(result)}")
    else:
        num_errors = sum(finding.severity == "error" for finding in result.findings)
        render.print_line(f"Not ready to train: {render.count(num_errors, 'error')}")


def _left_out(result: FileCheck) -> str:
    """What was chosen and could not be checked, because only a base confirms it."""
    facts = next((each.facts for each in result.findings if each.code == "no_base"), {})
    names = ", ".join(facts.get("unchecked", ()))
    return f", if the base has it ({names}; `--server` checks that)" if names else ""
