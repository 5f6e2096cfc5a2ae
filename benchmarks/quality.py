"""Quality of trained tasks: this trainer, PEFT's LoRA and full fine-tuning, with three seeds.

`python -m benchmarks.quality --data ../shared/data`. Every finished run is a line of
`benchmarks/peers/quality.jsonl` and is not run again; delete a line to repeat it. Each run has its
own process. `--report` only prints the tables. Batches contain rows of similar length, except for
`PEFT, any lengths`, which uses plain shuffling.
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
from dataclasses import asdict
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import torch

from adapters_registry.storage.shared_state import SharedState
from benchmarks.measure import conditions, table
from benchmarks.quality_tasks import TASKS, QualityTask, Rows
from benchmarks.training import BASE, Ours
from engine.model.source import base_path
from trainer.jobs.file_store import FileStore
from trainer.jobs.store import JobStore
from trainer.jobs.values import JobSpec
from trainer.recipe.recipe import learning_rate

DATA = Path(__file__).parents[2] / "shared" / "data"
FOUND = Path(__file__).parent / "peers" / "quality.jsonl"
SIDES = ("adapterd", "PEFT", "PEFT, any lengths", "full fine-tuning")
#: the documented default of the stock trainer
FULL_RATE = 5e-5
#: without these, glibc returns freed memory and faults it in again at each step
_KEEP = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**32)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--tasks", nargs="*", choices=sorted(TASKS), default=list(TASKS))
    parser.add_argument("--sides", nargs="*", choices=SIDES, default=list(SIDES))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="run nothing")
    parser.add_argument("--one", action="store_true", help="print one run's line, record nothing")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(_run(args, args.tasks[0], args.sides[0], args.seeds[0])))
        return
    for task, side, seed in product(args.tasks, args.sides, args.seeds):
        done = {(line["task"], line["side"], line["seed"]) for line in _lines()}
        if not args.report and (task, side, seed) not in done:
            _capture_graph(args, task, side, seed)
    print("\n".join([conditions("peft"), "", _report(_lines())]))


def _capture_graph(args: argparse.Namespace, task: str, side: str, seed: int) -> None:
    command = [
        sys.executable, "-m", "benchmarks.quality", "--one", "--data", str(args.data),
        "--tasks", task, "--sides", side, "--seeds", str(seed), "--threads", str(args.threads),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}
    if side != "adapterd":
        environment |= _KEEP
    ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    line = ran.stdout.splitlines()[-1]
    with FOUND.open("a") as results:
        results.write(line + "\n")
    print(line, flush=True)


def _lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in FOUND.read_text().splitlines()] if FOUND.exists() else []


def _run(args: argparse.Namespace, task: str, side: str, seed: int) -> dict[str, Any]:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(args.threads)
    quality_task = TASKS[task]
    overrides = {} if side != "full fine-tuning" else {"epochs": quality_task.full_epochs}
    with tempfile.TemporaryDirectory() as scratch:
        rows_directory = Path(scratch) / "rows"
        state = SharedState.open(rows_directory)
        files = FileStore(state.blobs, JobStore(state.database), rows_directory / "uploads")
        spec = quality_task.spec(files, args.data, seed, **overrides)
        rows = Rows.from_spec(files, spec)
        started = time.perf_counter()
        if side == "adapterd":
            dev, test = _ours(args, Path(scratch), quality_task, seed)
        else:
            dev, test = _plain(quality_task, rows, spec, side)
    return {
        "task": task, "side": side, "seed": seed, "metric": quality_task.metric,
        "dev": dev, "test": test,
        "seconds": round(time.perf_counter() - started, 1), "threads": args.threads,
        "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
        "rows": rows.digest, "learning_rate": FULL_RATE if overrides else learning_rate(spec),
        "settings": {n: v for n, v in asdict(spec.settings).items() if v is not None},
    }  # fmt: skip


def _ours(
    args: argparse.Namespace, scratch: Path, quality_task: QualityTask, seed: int
) -> tuple[float, float]:
    bench = Ours(scratch, args.threads, "float32")
    try:
        spec = quality_task.spec(bench.files, args.data, seed)
        job = bench.trainer.submit(spec)
        bench.trainer.run_once()
        job = bench.trainer.get(spec.tenant, job.id)
    finally:
        bench.port.close()
    assert job.status == "succeeded", (job.error_code, job.error_message)
    metrics = job.result["metrics"]
    return metrics["dev"][quality_task.metric], metrics["test"][quality_task.metric]


def _plain(quality_task: QualityTask, rows: Rows, spec: JobSpec, side: str) -> tuple[float, float]:
    from benchmarks.plain_loop import PlainLoop

    full = side == "full fine-tuning"
    return PlainLoop(
        str(base_path(BASE)), quality_task.head, rows, spec.settings,
        FULL_RATE if full else learning_rate(spec), full=full, alike=side != "PEFT, any lengths",
    ).run()  # fmt: skip


def _report(lines: list[dict[str, Any]]) -> str:
    by_way: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in lines:
        by_way.setdefault((line["task"], line["side"]), []).append(line)
    ways = [way for way in product(TASKS, SIDES) if way in by_way]
    rows = [[*way, by_way[way][0]["metric"], *_cells(by_way[way])] for way in ways]
    heading = [
        "task",
        "method",
        "metric",
        "dev",
        "test",
        "test per seed",
        "epochs",
        "minutes per run",
    ]
    verdicts = [[task, *_verdict(by_way, task)] for task in TASKS]
    targets = ["task", "PEFT's mean - 1 std", "PEFT's mean", "full fine-tuning - 0.01"]
    return "\n\n".join([table(heading, rows), table(targets, verdicts)])


def _cells(lines: list[dict[str, Any]]) -> list[str]:
    minutes = statistics.median(line["seconds"] for line in lines) / 60
    tests = " / ".join(f"{line['test']:.3f}" for line in lines)
    epochs = str(lines[0]["settings"]["epochs"])
    return [_spread(lines, "dev"), _spread(lines, "test"), tests, epochs, f"{minutes:.1f}"]


def _spread(lines: list[dict[str, Any]], name: str) -> str:
    values = [line[name] for line in lines]
    return f"{statistics.fmean(values):.4f}" + (f" ± {_std(values):.4f}" if len(values) > 1 else "")


def _std(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _verdict(by_way: dict[tuple[str, str], list[dict[str, Any]]], task: str) -> list[str]:
    """Compares with the better of PEFT's two row orders."""
    tests = {side: [line["test"] for line in by_way.get((task, side), [])] for side in SIDES}
    pefts = [tests[side] for side in SIDES[1:3] if tests[side]]
    peft = max(pefts, key=statistics.fmean, default=None)
    floors = [
        statistics.fmean(peft) - _std(peft) if peft and len(peft) > 1 else None,
        statistics.fmean(peft) if peft else None,
        statistics.fmean(tests[SIDES[3]]) - 0.01 if tests[SIDES[3]] else None,
    ]
    mean = statistics.fmean(tests[SIDES[0]]) if tests[SIDES[0]] else None
    return [
        "too few runs" if floor is None or mean is None
        else f"{floor:.4f}: {'reached' if mean >= floor else '**not reached**'} ({mean:.4f})"
        for floor in floors
    ]  # fmt: skip


if __name__ == "__main__":
    main()
