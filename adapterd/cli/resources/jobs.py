"""`adapterd jobs`: training jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from adapterd.cli.connect import connect
from adapterd.cli.options import JobId, Json, ProfileName, Url
from adapterd.cli.resources.ids import find_job

if TYPE_CHECKING:
    from adapterd.values import Job


def build() -> typer.Typer:
    app = typer.Typer(help="List, follow, pause and cancel training jobs.", no_args_is_help=True)
    app.command("list")(list_jobs)
    for command in (show, watch, events, cancel, pause, resume):
        app.command()(command)
    return app


def list_jobs(
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of jobs, newest first.")] = 50,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """List training jobs."""
    from itertools import islice

    from adapterd.terminal import render

    with connect(url, profile) as client:
        jobs = list(islice(client.jobs(), limit))
    render.print_json(jobs) if as_json else render.print_jobs(jobs)


def show(
    job_id: JobId,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Show a job."""
    from adapterd.terminal import render

    with connect(url, profile) as client:
        job = client.job(find_job(client, job_id))
    render.print_json(job) if as_json else render.print_job(job)


def watch(
    job_id: JobId,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Follow a job until it ends. Exits as `train` does. --json prints a line per change."""
    from rich.console import Console

    from adapterd.calls.job_calls import require_success
    from adapterd.cli.report import exit_code_of, print_job_report
    from adapterd.terminal import render
    from adapterd.terminal.progress import JobProgress

    with (
        connect(url, profile) as client,
        JobProgress(Console(stderr=True), quiet=as_json) as progress,
    ):
        job = client.job(find_job(client, job_id))
        show_job = render.print_json if as_json else progress.follow(job.task)
        job = require_success(progress.show_updates(job, client.follow_job(job.id), show_job))
    if not as_json:
        print_job_report(job)
    raise typer.Exit(exit_code_of(job))


def events(
    job_id: JobId,
    after: Annotated[int, typer.Option(min=0, help="Only events numbered above this.")] = 0,
    code: Annotated[
        list[str] | None,
        typer.Option(help="Only events with this code, e.g. training.epoch; may be repeated."),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Continue until the job has ended.")
    ] = False,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Show a job's events. --json prints a line per event."""
    from adapterd.terminal import render
    from adapterd.values import JobEvent

    codes = code or []
    with connect(url, profile) as client:
        read = client.follow_job if follow else client.job_events
        for event in read(find_job(client, job_id), after):
            if isinstance(event, JobEvent) and event.code in (codes or [event.code]):
                render.print_json(event) if as_json else render.print_event(event)


def cancel(
    job_id: JobId,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Cancel a job: a queued one at once, a running one after its current step.

    It publishes no version.
    """
    with connect(url, profile) as client:
        job = client.cancel_job(find_job(client, job_id))
    _print_change(job, "is cancelled after its current step", as_json)


def pause(
    job_id: JobId,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Pause a job: a queued one at once, a running one after its current step."""
    with connect(url, profile) as client:
        job = client.pause_job(find_job(client, job_id))
    _print_change(job, "is paused after its current step", as_json)


def resume(
    job_id: JobId,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Put a paused job back into the queue."""
    with connect(url, profile) as client:
        job = client.resume_job(find_job(client, job_id))
    _print_change(job, "is running", as_json)


def _print_change(job: Job, while_running: str, as_json: bool) -> None:
    """`while_running` is what becomes of a job that a worker holds."""
    from adapterd.terminal import render

    if as_json:
        render.print_json(job)
    else:
        state = while_running if job.status == "running" else f"is {job.status}"
        render.print_line(f"{job.id} {state}")
