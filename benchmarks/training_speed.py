"""Training speed, compared with Hugging Face `Trainer` and PEFT on the same rows.

`python -m benchmarks.training_speed job|search|beside --data ../shared/data`. adapterd runs
whole jobs, from the checks to publishing, in the precision that the engine chooses unless `--dtype`
names one. A finished run of the peer is a line of `benchmarks/peers/training.jsonl` and is not run
again under the same conditions. `job`: one run with the defaults. `search`: eight trials and three
seeds; the peer runs the same ones sequentially. `beside`: 200 steps, alone and interleaved with 31
other adapters.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import stock_trainer
from benchmarks.interleaved import compare_interleaved
from benchmarks.measure import conditions, table
from benchmarks.quality_tasks import TASKS, Rows
from benchmarks.training import BASE, Ours
from engine.model.source import base_path
from trainer.jobs.values import Job, JobSpec
from trainer.recipe.recipe import learning_rate

DATA = Path(__file__).parents[2] / "shared" / "data"
FOUND = Path(__file__).parent / "peers" / "training.jsonl"
TASK = "tweets, sentiment"
#: settings that `Trainer` and PEFT support as well, so that every trial can be run there
SPACE: dict[str, Any] = {
    "learning_rate": {"low": 3e-4, "high": 3e-3, "log": True}, "dropout": [0.0, 0.1, 0.2],
    "rank": [4, 8, 16, 32], "layers": [2, 3, 6], "epochs": [2, 3, 5],
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The trainer, the data folder and the number of threads of all parts."""

    ours: Ours
    data: Path
    threads: int

    def job(self, **settings: Any) -> tuple[Job, float]:
        """A whole job and its seconds."""
        spec = self.spec(**settings)
        started = time.perf_counter()
        job = self.ours.trainer.submit(spec)
        self.ours.trainer.run_once()
        seconds = time.perf_counter() - started
        job = self.ours.trainer.get(spec.tenant, job.id)
        assert job.status == "succeeded", (job.error_code, job.error_message)
        return job, seconds

    def spec(self, **settings: Any) -> JobSpec:
        return TASKS[TASK].spec(self.ours.files, self.data, 0, **{"seeds": 1, **settings})

    def peer(self, way: str, settings: dict[str, Any]) -> dict[str, Any]:
        """The line of one run, which is run now if it is missing."""
        spec = self.spec()
        rows = Rows.from_spec(self.ours.files, spec)
        peer_settings = {
            **{name: getattr(spec.settings, name) for name in _SHARED},
            "layers": 3, "learning_rate": learning_rate(spec), **settings,
        }  # fmt: skip
        known = {
            "way": way, "settings": peer_settings, "rows": rows.digest, "threads": self.threads,
            "conditions": conditions("peft"),
        }  # fmt: skip
        for line in _lines():
            if all(line[name] == value for name, value in known.items()):
                return line
        parts = {
            name: [(row.text, row.label) for row in getattr(rows.split, name)]
            for name in ("train", "dev", "test")
        }
        peer_run = {
            "way": way, "settings": peer_settings, "digest": rows.digest, "labels": rows.labels,
            "base": str(base_path(BASE)), **parts,
        }  # fmt: skip
        line = {**stock_trainer.run(peer_run, self.threads), "conditions": known["conditions"]}
        FOUND.parent.mkdir(exist_ok=True)
        with FOUND.open("a") as results:
            results.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)
        return line


_SHARED = ("epochs", "batch_rows", "weight_decay", "warmup_share", "dropout", "rank", "seed")


def job(bench: Bench) -> str:
    """Runs one job on each side."""
    result, seconds = bench.job()
    test = result.result["metrics"]["test"]["accuracy"]
    rows = [["adapterd, a whole job", f"{test:.4f}", f"{seconds:.1f}", "1.00"]]
    for way in stock_trainer.WAYS:
        line = bench.peer(way, {})
        ratio = f"{line['seconds'] / seconds:.2f}"
        rows.append([way, f"{line['test']:.4f}", f"{line['seconds']:.1f}", ratio])
    return table(["method", "test accuracy", "seconds", "relative to adapterd"], rows)


def search(bench: Bench) -> str:
    """Runs the search without and with halving, then the chosen settings with three seeds."""
    plain, seconds = bench.job(seeds=3, search={"trials": 8, "halving": False, "space": SPACE})
    halved, halved_seconds = bench.job(seeds=3, search={"trials": 8, "space": SPACE})
    trials = plain.result["search"]["trials"]
    chosen = trials[plain.result["search"]["chosen"]]["settings"]
    # on both sides, the search's run of the chosen settings is the first of the three seeds
    runs = [trial["settings"] for trial in trials] + [{**chosen, "seed": seed} for seed in (1, 2)]
    lines = [bench.peer(stock_trainer.WAYS[0], run) for run in runs]
    total = sum(line["seconds"] for line in lines)
    rows = [
        _search_row("adapterd, without halving", plain, seconds, total),
        _search_row("adapterd, successive halving", halved, halved_seconds, total),
        _peer_row(lines, lines[plain.result["search"]["chosen"]], total),
    ]
    heading = ["method", "best dev, three seeds", "trained steps", "seconds"]
    heading += ["Trainer's time / this time"]
    return table(heading, rows)


def _search_row(name: str, job: Job, seconds: float, total: float) -> list[str]:
    dev = job.result["seeds"]["dev"]["accuracy"]
    best = f"{dev['mean']:.4f} ± {dev['std']:.4f}"
    steps = str(job.result["search"]["steps"])
    return [name, best, f"{steps} and two seeds", f"{seconds:.0f}", f"{total / seconds:.2f}"]


def _peer_row(lines: list[dict[str, Any]], chosen: dict[str, Any], total: float) -> list[str]:
    dev = [chosen["dev"], *(line["dev"] for line in lines[-2:])]
    best = f"{statistics.fmean(dev):.4f} ± {statistics.stdev(dev):.4f}"
    steps = sum(line["steps"] for line in lines)
    return ["Trainer + PEFT, sequentially", best, str(steps), f"{total:.0f}", "1.00"]


def _lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in FOUND.read_text().splitlines()] if FOUND.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("job", "search", "beside"), nargs="?", default="job")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--dtype", default="auto", help="precision of adapterd: auto, float32 or bfloat16"
    )
    parser.add_argument("--steps", type=int, default=200, help="of `beside`")
    parser.add_argument("--others", type=int, default=31, help="of `beside`")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    if args.part == "beside":
        print(compare_interleaved(args.data, args.steps, args.others, args.threads))
        return
    with tempfile.TemporaryDirectory() as scratch:
        ours = Ours(Path(scratch), args.threads, args.dtype)
        bench = Bench(ours=ours, data=args.data, threads=args.threads)
        text = {"job": job, "search": search}[args.part](bench)
        dtype = ours.port.info.dtype
        ours.port.close()
    print("\n".join([f"{conditions('peft')}; ours in {dtype}", "", text]))


if __name__ == "__main__":
    main()
