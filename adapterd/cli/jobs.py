"""`adapterd jobs`: trainings, running and ended."""

from __future__ import annotations

from typing import Annotated

import typer

from adapterd.cli.options import JobId, Json


def build() -> typer.Typer:
    app = typer.Typer(help="Training jobs.", no_args_is_help=True)
    app.command("list")(list_jobs)
    for command in (show, watch, cancel):
        app.command()(command)
    return app


def list_jobs(
    limit: Annotated[int, typer.Option(min=1, help="At most this many, newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """List the jobs."""
    from itertools import islice

    from adapterd.cli import render
    from adapterd.client import Client

    with Client() as client:
        jobs = list(islice(client.jobs(), limit))
    render.print_json(jobs) if as_json else render.print_jobs(jobs)


def show(job_id: JobId, as_json: Json = False) -> None:
    """Show one job."""
    from adapterd.cli import render
    from adapterd.client import Client

    with Client() as client:
        job = client.job(job_id)
    render.print_json(job) if as_json else render.print_job(job)


def watch(job_id: JobId, as_json: Json = False) -> None:
    """Follow a job until it ends; with --json one line per change. Exits 1 if it fails."""
    from rich.console import Console

    from adapterd.cli import render
    from adapterd.cli.progress import JobProgress
    from adapterd.client import Client

    with Client() as client, JobProgress(Console(stderr=True), quiet=as_json) as progress:
        show_job = render.print_json if as_json else progress.follow(job_id)
        job = client.wait(job_id, show_job)
    if not as_json:
        render.print_job(job)


def cancel(job_id: JobId, as_json: Json = False) -> None:
    """Cancel a job; nothing of it is published."""
    from adapterd.cli import render
    from adapterd.client import Client

    with Client() as client:
        job = client.cancel_job(job_id)
    render.print_json(job) if as_json else render.print_line(f"{job.id}: {job.status}")
