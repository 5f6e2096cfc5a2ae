"""Time from the upload of a labelled file to the first answer, with default settings.

`python -m benchmarks.file_to_version --data ../shared/data` prints the time of each phase and the
error of the reported remaining time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise, product
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch

from adapterd.client.client import Client
from adapterd.demo.spawned import SpawnedServer
from adapterd.values import Job
from benchmarks.defaults_report import BEFORE, PRESETS, VARIANTS
from benchmarks.measure import conditions, table
from benchmarks.quality_tasks import TASKS
from benchmarks.training import BASE
from benchmarks.training_speed import DATA, TASK

#: shares of the run at which the estimated and the true remaining seconds are compared
_SHARES = (0.1, 0.25, 0.5, 0.75)


@dataclass(slots=True)
class JobTimeline:
    """The phases and estimates of a job, in seconds since the upload began."""

    started: float = field(default_factory=time.perf_counter)
    phases: dict[str, float] = field(default_factory=dict)
    left: list[tuple[float, float]] = field(default_factory=list)
    seconds: float = 0.0

    def record(self, job: Job) -> None:
        now = time.perf_counter() - self.started
        self.phases.setdefault(job.phase or job.status, now)
        if job.eta_s is not None:
            self.left.append((now, job.eta_s))

    def errors(self) -> list[list[str]]:
        """The estimated and true remaining seconds at each share of the whole time."""
        rows = []
        for share in _SHARES:
            later = [entry for entry in self.left if entry[0] >= share * self.seconds]
            if later:
                at, eta_s = later[0]
                true_s = self.seconds - at
                error = f"{100 * (eta_s - true_s) / true_s:+.1f} %"
                rows.append([f"{share:.0%}", f"{eta_s:.1f}", f"{true_s:.1f}", error])
        return rows


def measure(
    client: Client, file: Path, settings: Mapping[str, Any] | None = None
) -> tuple[JobTimeline, float]:
    """The job's timeline and the version's test accuracy."""
    timeline = JobTimeline()
    job = client.train(
        "sentiment", file, on_job=timeline.record, head="classify", settings=dict(settings or {})
    )
    client.predict(f"sentiment@{job.version}", "What a lovely day.")
    timeline.seconds = time.perf_counter() - timeline.started
    return timeline, job.result["metrics"]["test"]["accuracy"]


def _report(timeline: JobTimeline, accuracy: float) -> str:
    starts = [*timeline.phases.values(), timeline.seconds]
    took = [end - start for start, end in pairwise(starts)]
    rows = [[name, f"{s:.1f}"] for name, s in zip(timeline.phases, took, strict=True)]
    rows += [["total, from the upload to an answer", f"{timeline.seconds:.1f}"]]
    return "\n\n".join(
        [
            table(["phase", "seconds"], rows),
            table(["after", "estimated, s left", "true, s left", "error"], timeline.errors()),
            f"test accuracy {accuracy:.4f}",
        ]
    )


def _compare(client: Client, file: Path, args: argparse.Namespace) -> str:
    runs: dict[str, list[tuple[float, float]]] = {side: [] for side in args.sides}
    for number, side in product(range(args.times), args.sides):
        timeline, accuracy = measure(client, file, {**VARIANTS[side], "seed": number})
        runs[side].append((timeline.seconds, accuracy))
        print(f"{side}: {timeline.seconds:.1f} s, {accuracy:.4f}", flush=True)
    rows = [
        [side, f"{median(s for s, _ in each):.1f}", " / ".join(f"{s:.1f}" for s, _ in each),
         f"{fmean(accuracy for _, accuracy in each):.4f}"]
        for side, each in runs.items()
    ]  # fmt: skip
    return table(["settings", "median, s", "each, s", "mean test accuracy"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2, help="of the engine")
    parser.add_argument(
        "--sides",
        nargs="*",
        choices=[*PRESETS, BEFORE],
        help="one after the other; a table of times",
    )
    parser.add_argument("--times", type=int, default=3, help="of each side, interleaved")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(args.threads)
    task = TASKS[TASK]
    lines = task.rows((args.data / task.file).read_bytes()).splitlines()[: args.rows]
    options = ["--threads", str(args.threads)]
    with tempfile.TemporaryDirectory() as scratch, SpawnedServer(base=BASE, options=options) as s:
        file = Path(scratch) / "rows.jsonl"
        file.write_bytes(b"\n".join(lines))
        with Client(s.addresses.http) as client:
            if args.sides:
                print(conditions("peft"), "", _compare(client, file, args), sep="\n")
                return
            timeline, accuracy = measure(client, file)
    print(conditions("peft"), f"{args.rows} rows", "", _report(timeline, accuracy), sep="\n")


if __name__ == "__main__":
    main()
