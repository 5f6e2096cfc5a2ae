"""Runs several training jobs at the same time and prints their results as a table."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from adapterd.calls.call_options import TrainingOptions
from adapterd.client.async_client import AsyncClient
from adapterd.terminal.progress import JobProgress
from adapterd.terminal.verdict import name_verdict
from adapterd.values import Job

#: the metric to print is the first of these in a report, or the report's own first
LEADING_METRICS = ("accuracy", "pearson", "spearman", "mae", "rmse", "f1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The task, data and options of one training job."""

    task: str
    data: Path
    options: TrainingOptions


async def train_all(
    client: AsyncClient, console: Console, trainings: Sequence[Training]
) -> list[Job]:
    """Submits the jobs and waits until all have succeeded. Raises JobFailed."""
    with JobProgress(console) as progress:
        jobs = [await _submit(client, training) for training in trainings]
        return await asyncio.gather(*(client.wait(j.id, progress.follow(j.task)) for j in jobs))


def print_reports(console: Console, jobs: Sequence[Job]) -> None:
    columns = ("version", "digest", "on test rows", "baseline", "verdict", "trained", "seconds")
    table = Table(*columns, header_style="bold")
    for job in jobs:
        table.add_row(*_cells(job))
    console.print(table)


async def _submit(client: AsyncClient, training: Training) -> Job:
    file = await client.upload(training.data)
    return await client.create_job(training.task, {"file_id": file.id}, **training.options)


def _cells(job: Job) -> tuple[str, ...]:
    metrics = job.result["metrics"]["test"]
    baseline = (job.result.get("baseline") or {}).get("test", {})
    metric = next(name for name in (*LEADING_METRICS, *metrics) if name in metrics)
    return (
        f"{job.task}@{job.version}",
        (job.digest or "")[:8],
        f"{metric} {metrics[metric]:.3f}",
        f"{baseline[metric]:.3f}" if metric in baseline else "none",
        name_verdict(job.result.get("report")),
        f"{job.result['trainable_parameters']:,}",
        f"{job.result['seconds']:.0f}",
    )
