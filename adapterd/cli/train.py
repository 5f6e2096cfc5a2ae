"""`adapterd train`: trains and publishes a version from labelled rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapterd.cli.connect import connect
from adapterd.cli.data_file import read_data_source, refuse_other_formats
from adapterd.cli.options import (
    DevData,
    Head,
    Json,
    Kind,
    LabelColumn,
    Pooling,
    Preset,
    ProfileName,
    Promote,
    SplitSeed,
    TaskName,
    TestData,
    TextColumn,
    TextPairColumn,
    TrainingSettings,
    Url,
)
from adapterd.cli.resources.files import store_file
from adapterd.cli.settings_option import parse_training_settings
from adapterd.errors import AdapterdError

if TYPE_CHECKING:
    from adapterd.calls.call_options import TrainingOptions
    from adapterd.client.client import Client
    from adapterd.values import Estimate, Job


Rows = Annotated[
    Path,
    typer.Option(
        parser=read_data_source,
        metavar="FILE",
        help="Labelled rows (docs/data.md), or dataset:NAME for a stored file (`adapterd files`).",
    ),
]

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Estimate time and memory, and queue nothing.")
]
Detach = Annotated[
    bool, typer.Option("--detach", help="Print the job's id and do not wait for its end.")
]


def train(
    task: TaskName,
    data: Rows,
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
    promote: Promote = False,
    dry_run: DryRun = False,
    detach: Detach = False,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Train a version of TASK on labelled rows, evaluate it on held-out rows and publish it.

    Ctrl-C ends the command; the job continues.
    Exits 7 if the verdict on the published version is "do not ship".
    """
    from adapterd.cli.report import exit_code_of, make_report, print_job_report
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
        "settings": parse_training_settings(settings or [], preset),
    }
    paths = {"file_id": data, "dev_file_id": dev_data, "test_file_id": test_data}
    for path in filter(None, paths.values()):
        refuse_other_formats(path)
    with connect(url, profile) as client:
        with _store_files(client, paths, quiet=as_json, keep=not dry_run) as ids:
            if dry_run:
                estimate = client.estimate(task, ids, **options)
                render.print_json(estimate) if as_json else _print_dry_run(task, estimate)
                return
            job = client.create_job(task, ids, **options)
        if detach:
            render.print_json(job) if as_json else _print_detached(job)
            return
        job = _wait(client, job, as_json)
    render.print_json(make_report(job)) if as_json else print_job_report(job)
    raise typer.Exit(exit_code_of(job))


def _print_dry_run(task: str, estimate: Estimate) -> None:
    from adapterd.terminal import render
    from adapterd.terminal.findings import print_findings

    render.print_estimate(task, estimate)
    print_findings("findings", estimate.findings)


@contextmanager
def _store_files(
    client: Client, paths: Mapping[str, Path | None], *, quiet: bool, keep: bool
) -> Iterator[dict[str, str]]:
    """Ids of stored files; those that were uploaded for nothing are deleted again."""
    made: list[str] = []
    is_used = False
    try:
        ids = {}
        for field, path in paths.items():
            if path is not None:
                file, is_new = store_file(client, path, quiet=quiet)
                made += [file.id] if is_new else []
                ids[field] = file.id
        yield ids
        is_used = keep
    finally:
        if not is_used:
            for file_id in made:
                with suppress(AdapterdError):  # the first error is the one to report
                    client.delete_file(file_id)


def _print_detached(job: Job) -> None:
    """The id alone on stdout, for `JOB=$(adapterd train … --detach)`."""
    typer.echo(job.id)
    typer.echo(f"`adapterd jobs watch {job.id}` follows it, `jobs cancel` ends it", err=True)


def _wait(client: Client, job: Job, quiet: bool) -> Job:
    from rich.console import Console

    from adapterd.calls.job_calls import require_success
    from adapterd.terminal.progress import JobProgress

    try:
        with JobProgress(Console(stderr=True), quiet=quiet) as progress:
            updates = client.follow_job(job.id)
            return require_success(progress.show_updates(job, updates, progress.follow(job.task)))
    except KeyboardInterrupt:
        typer.echo(
            f"{job.id} continues; `adapterd jobs watch {job.id}` follows it, `jobs cancel` ends it",
            err=True,
        )
        raise
