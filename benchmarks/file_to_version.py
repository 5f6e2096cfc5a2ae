"""From a file of labelled rows to a version that answers, over the network, all settings as they
come: `python -m benchmarks.file_to_version --data ../shared/data`.

Prints what each phase took, and how far the seconds left that were told on the way were off.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import torch

from adapterd.client.client import Client
from adapterd.demo.spawned import SpawnedServer
from adapterd.values import Job
from benchmarks.claims import CLAIMS
from benchmarks.measure import conditions, table
from benchmarks.training import BASE
from benchmarks.training_speed import DATA, TASK

#: when the seconds that are left are compared with those that were: a tenth of the run and later
_SHARES = (0.1, 0.25, 0.5, 0.75)


@dataclass(slots=True)
class Told:
    """What a job said of itself, when it was heard, in seconds since the upload began."""

    started: float = field(default_factory=time.perf_counter)
    phases: dict[str, float] = field(default_factory=dict)
    left: list[tuple[float, float]] = field(default_factory=list)
    seconds: float = 0.0

    def hear(self, job: Job) -> None:
        now = time.perf_counter() - self.started
        self.phases.setdefault(job.phase or job.status, now)
        if job.eta_s is not None:
            self.left.append((now, job.eta_s))

    def errors(self) -> list[list[str]]:
        """Told and true seconds left after each share of the whole time."""
        rows = []
        for share in _SHARES:
            later = [each for each in self.left if each[0] >= share * self.seconds]
            if later:
                at, eta_s = later[0]
                true_s = self.seconds - at
                error = f"{100 * (eta_s - true_s) / true_s:+.1f} %"
                rows.append([f"{share:.0%}", f"{eta_s:.1f}", f"{true_s:.1f}", error])
        return rows


def measure(client: Client, file: Path) -> tuple[Told, float]:
    """What was told, and the version's test accuracy."""
    told = Told()
    job = client.train("sentiment", file, on_job=told.hear, head="classify")
    client.predict("sentiment", "What a lovely day.")
    told.seconds = time.perf_counter() - told.started
    return told, job.result["metrics"]["test"]["accuracy"]


def _report(told: Told, accuracy: float) -> str:
    begun = [*told.phases.values(), told.seconds]
    took = [end - start for start, end in pairwise(begun)]
    rows = [[name, f"{s:.1f}"] for name, s in zip(told.phases, took, strict=True)]
    rows += [["all, from the upload to an answer", f"{told.seconds:.1f}"]]
    return "\n\n".join(
        [
            table(["phase", "seconds"], rows),
            table(["after", "told, s left", "true, s left", "error"], told.errors()),
            f"test accuracy {accuracy:.4f}",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2, help="of the engine")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(args.threads)
    claim = CLAIMS[TASK]
    lines = claim.rows((args.data / claim.file).read_bytes()).splitlines()[: args.rows]
    options = ["--threads", str(args.threads)]
    with tempfile.TemporaryDirectory() as scratch, SpawnedServer(base=BASE, options=options) as s:
        file = Path(scratch) / "rows.jsonl"
        file.write_bytes(b"\n".join(lines))
        with Client(url=s.addresses.http, grpc_target=s.addresses.grpc) as client:
            told, accuracy = measure(client, file)
    print(conditions("peft"), f"{args.rows} rows", "", _report(told, accuracy), sep="\n")


if __name__ == "__main__":
    main()
