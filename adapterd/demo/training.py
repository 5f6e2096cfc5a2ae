"""Several trainings at once, one bar each, and their reports side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from adapterd.async_client import AsyncClient
from adapterd.calls import TrainingOptions
from adapterd.cli.progress import JobProgress, OnJob
from adapterd.cli.render import short
from adapterd.values import Job

#: shown first where a report has it; a report of another head has none of these
LEADING_METRICS = ("accuracy", "pearson", "spearman", "mae", "rmse", "f1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One version to make."""

    task: str
    data: Path
    options: TrainingOptions


async def train_all(
    client: AsyncClient, console: Console, trainings: Sequence[Training]
) -> list[Job]:
    """Every job once it has succeeded, in order. Raises JobFailed."""
    with JobProgress(console) as progress:
        shown = [(training, progress.follow(training.task)) for training in trainings]
        return await asyncio.gather(*(_train(client, t, show) for t, show in shown))


def print_reports(console: Console, jobs: Sequence[Job]) -> None:
    table = Table(header_style="bold")
    columns = ("version", "digest", "metric on test rows", "adapter", "bag of words", "parameters")
    for column in (*columns, "seconds"):
        table.add_column(column)
    for job in jobs:
        table.add_row(*_cells(job))
    console.print(table)


async def _train(client: AsyncClient, training: Training, show: OnJob) -> Job:
    file = await client.upload(training.data)
    job = await client.create_job(training.task, {"file_id": file.id}, **training.options)
    return await client.wait(job.id, show)


def _cells(job: Job) -> tuple[str, ...]:
    metrics = job.result["metrics"]["test"]
    baseline = (job.result.get("baseline") or {}).get("test", {})
    metric = next(name for name in (*LEADING_METRICS, *metrics) if name in metrics)
    return (
        f"{job.task}@{job.version}",
        short(job.digest or ""),
        metric,
        f"{metrics[metric]:.3f}",
        f"{baseline[metric]:.3f}" if metric in baseline else "",
        f"{job.result['trainable_parameters']:,}",
        f"{job.result['seconds']:.0f}",
    )
