"""`adapterd train`: a labelled file becomes a served version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapterd.cli.options import DataFile, Json, Promote, TaskName
from adapterd.cli.settings_option import parse_settings

if TYPE_CHECKING:
    from adapterd.calls.call_options import TrainingOptions
    from adapterd.client.client import Client
    from adapterd.values import Job


Rows = Annotated[
    Path,
    typer.Option(
        exists=True,
        dir_okay=False,
        readable=True,
        help="Labelled rows in any format of docs/data.md.",
    ),
]


def train(
    task: TaskName,
    data: Rows,
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
    split_seed: Annotated[int, typer.Option(help="Which rows become dev and test rows.")] = 0,
    kind: Annotated[
        str, typer.Option(help="lora, bottleneck, ia3, bias, head_only or prompt.")
    ] = "",
    pooling: Annotated[
        str, typer.Option(help="native, cls, mean or last; default: the server's.")
    ] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A training setting (docs/training.md)."),
    ] = None,
    promote: Promote = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would take, and queue nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a version of TASK from labelled rows, evaluate it on held-out rows and publish it."""
    from adapterd.client.client import Client
    from adapterd.terminal import render

    options: TrainingOptions = {
        "head": head,
        "text_column": text_column,
        "text_pair_column": text_pair_column,
        "label_column": label_column,
        "split_seed": split_seed,
        "promote": promote,
        "kind": kind,
        "pooling": pooling,
        "settings": parse_settings(settings or []),
    }
    with Client() as client:
        paths = {"file_id": data, "dev_file_id": dev_data, "test_file_id": test_data}
        ids = {name: _upload(client, path, as_json) for name, path in paths.items() if path}
        if dry_run:
            found = client.estimate(task, ids, **options)
            render.print_json(found) if as_json else render.print_estimate(task, found)
            return
        job = _finish(client, client.create_job(task, ids, **options), as_json)
    _print_report(job, as_json)


def report(job: Job) -> dict[str, Any]:
    """What a training ends with, in the order of the public contract."""
    first = ("metrics", "baseline", "trainable_parameters", "seconds")
    result: Mapping[str, Any] = job.result
    return {
        "task": job.task,
        "version": job.version,
        "digest": job.digest,
        **{name: result.get(name) for name in first},
        **{k: v for k, v in result.items() if k not in (*first, "task", "version", "digest")},
        "job": job.id,
    }


def _upload(client: Client, path: Path, quiet: bool) -> str:
    from adapterd.terminal.progress import upload_progress

    with upload_progress(path.name, quiet=quiet) as on_bytes:
        return client.upload(path, on_bytes=on_bytes).id


def _finish(client: Client, job: Job, quiet: bool) -> Job:
    from rich.console import Console

    from adapterd.terminal.progress import JobProgress

    try:
        with JobProgress(Console(stderr=True), quiet=quiet) as progress:
            return client.wait(job.id, progress.follow(job.task))
    except KeyboardInterrupt:
        typer.echo(f"{job.id} goes on: `adapterd jobs watch {job.id}`, or `cancel` it", err=True)
        raise


def _print_report(job: Job, as_json: bool) -> None:
    from adapterd.cli.report import print_report
    from adapterd.terminal import render

    body = report(job)
    if as_json:
        render.print_json(body)
        return
    baseline = body["baseline"] or {}
    beside = baseline.get("test", {})
    rows = [
        (name, _number(value), _number(beside.get(name)))
        for name, value in ((body["metrics"] or {}).get("test") or {}).items()
        if isinstance(value, int | float)
    ]
    title = f"{job.task}@{job.version}  {render.short(job.digest or '')}  on the test rows"
    render.print_table(title, ("metric", "adapter", str(baseline.get("name", "baseline"))), rows)
    print_report(f"{job.task}@{job.version}", body["report"])
    parameters, seconds = body["trainable_parameters"], body["seconds"]
    render.print_line(f"{parameters:,} trained parameters, {seconds:.0f} seconds")
    render.print_line(f"all of it: adapterd adapters report {job.task}@{job.version} --html FILE")
    render.print_line(f'ask it: adapterd predict {job.task}@{job.version} "a text"')


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else ""
