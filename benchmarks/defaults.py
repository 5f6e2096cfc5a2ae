"""The defaults of a training against PEFT, full fine-tuning and TF-IDF, on the same rows.

`python -m benchmarks.defaults --data ../shared/data`. Every finished run is a line of
`benchmarks/peers/defaults.jsonl` and is not run again; delete a line to repeat it. Each run has a
process of its own. `--report` only prints the tables. Differences are paired: on each set, over the
same test rows of all splits, with an interval by bootstrap over those rows.
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.defaults_sets import SETS, LabelledSet, Row, Split
from benchmarks.measure import conditions, table

DATA = Path(__file__).parents[2] / "shared" / "data"
FOUND = Path(__file__).parent / "peers" / "defaults.jsonl"
DEFAULT = "default"
#: what is set in place of the default, one factor at a time
VARIANTS: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    "all layers": {"layers": 6},
    "one seed": {"seeds": 1},
    "3 epochs": {"epochs": 3},
    "10 epochs": {"epochs": 10},
    "rate halved": {"learning_rate": 5e-4},
    "rate doubled": {"learning_rate": 2e-3},
    "cosine": {"schedule": "cosine"},
    "no dropout": {"dropout": 0.0, "head_dropout": 0.0},
    "rank 16": {"rank": 16},
    "twice the dev rows": {"dev_share": 0.2},
    "128 tokens": {"max_tokens": 128},
}
PEERS = ("PEFT, all linears", "full fine-tuning", "TF-IDF")
_BOOTSTRAPS = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--sets", nargs="*", choices=sorted(SETS), default=list(SETS))
    parser.add_argument(
        "--sides", nargs="*", choices=[*VARIANTS, *PEERS], default=[DEFAULT, *PEERS]
    )
    parser.add_argument("--splits", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=120.0, help="no run begins later")
    parser.add_argument("--report", action="store_true", help="run nothing")
    parser.add_argument("--one", action="store_true", help="print one run's line, record nothing")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(run_one(args, args.sets[0], args.sides[0], args.splits[0])))
        return
    started = time.monotonic()
    for split, name, side in product(args.splits, args.sets, args.sides):
        late = time.monotonic() - started > 60 * args.minutes
        if not (args.report or late or _is_done(name, side, split) or not _applies(name, side)):
            _record(args, name, side, split)
    print("\n".join([conditions("peft"), "", report(_lines())]))


def _applies(name: str, side: str) -> bool:
    return side != "TF-IDF" or SETS[name].head != "tag"


def _is_done(name: str, side: str, split: int) -> bool:
    return (name, side, split) in {(x["set"], x["side"], x["split"]) for x in _lines()}


def _lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in FOUND.read_text().splitlines()] if FOUND.exists() else []


def _record(args: argparse.Namespace, name: str, side: str, split: int) -> None:
    command = [
        sys.executable, "-m", "benchmarks.defaults", "--one", "--data", str(args.data),
        "--sets", name, "--sides", side, "--splits", str(split), "--threads", str(args.threads),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}
    ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    line = ran.stdout.splitlines()[-1]
    with FOUND.open("a") as results:
        results.write(line + "\n")
    result = json.loads(line)
    print(f"{name} · {side} · {split}: {_score(result):.4f}, {result['seconds']:.0f} s", flush=True)


def run_one(args: argparse.Namespace, name: str, side: str, number: int) -> dict[str, Any]:
    """The line of one run. `rows` has what each test row was answered with, as `judge` has it."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(args.threads)
    labelled = SETS[name]
    split = labelled.split(args.data, number)
    started = time.perf_counter()
    extra: dict[str, Any] = {}
    if side in PEERS:
        from benchmarks.defaults_peers import PEERS as RUN

        answers = RUN[side](labelled, split, number)
    else:
        answers, extra = _run_job(labelled, split, number, VARIANTS[side], args.threads)
    return {
        "set": name, "side": side, "split": number, "head": labelled.head, "digest": split.digest,
        "seconds": round(time.perf_counter() - started, 1), "threads": args.threads, **extra,
        "versions": {each: version(each) for each in ("torch", "transformers", "peft")},
        "rows": [judge(labelled.head, *pair) for pair in zip(split.test, answers, strict=True)],
    }  # fmt: skip


def judge(head: str, row: Row, answer: Any) -> Any:
    """1 or 0; the value and its prediction; or entities: right, predicted and true."""
    if head == "regress":
        return [round(float(row["label"]), 3), round(float(answer), 3)]
    if head == "classify":
        return int(row["label"] == answer)
    from seqeval.metrics.sequence_labeling import get_entities

    true, predicted = set(get_entities(row["tags"])), set(get_entities(list(answer)))
    return [len(true & predicted), len(predicted), len(true)]


def _run_job(
    labelled: LabelledSet, split: Split, seed: int, settings: dict[str, Any], threads: int
) -> tuple[list[Any], dict[str, Any]]:
    """A whole job with the split's test rows, and what its version answers to them."""
    from benchmarks.training import Ours
    from trainer.jobs.values import JobSpec
    from trainer.pipeline import reporting
    from trainer.settings.settings import TrainingSettings

    seen: dict[str, Any] = {}
    make_report = reporting.make_report

    def observe(evidence: Any, **options: Any) -> Any:
        seen["rows"] = evidence.test
        return make_report(evidence, **options)

    reporting.make_report = observe
    with tempfile.TemporaryDirectory() as scratch:
        ours = Ours(Path(scratch), threads, "auto")
        try:
            suffix = "conll" if labelled.head == "tag" else "jsonl"
            files = [
                ours.files.put("default", f"{part}.{suffix}", "fine-tune", [_write(rows)], 2**30)
                for part, rows in (("train", split.train), ("test", split.test))
            ]
            pairs = "text_pair" if "text_pair" in split.train[0] else None
            spec = JobSpec(
                tenant="default", task="defaults", file_id=files[0].id, test_file_id=files[1].id,
                head=labelled.head, text_pair_column=pairs, chosen=tuple(settings),
                settings=TrainingSettings.parse({"seed": seed, **settings}),
            )  # fmt: skip
            job = ours.trainer.submit(spec)
            ours.trainer.run_once()
            job = ours.trainer.get("default", job.id)
        finally:
            ours.port.close()
    assert job.status == "succeeded", (job.error_code, job.error_message)
    answered = {
        row.example.line: p
        for row, p in zip(seen["rows"].rows, seen["rows"].predictions, strict=True)
    }
    assert len(answered) == len(split.test), "the job left test rows out"
    result = {"kind": job.result["kind"], "epochs": len(job.result["epochs"])}
    return [answered[line] for line in sorted(answered)], result


def _write(rows: Sequence[Row]) -> bytes:
    if "tags" in rows[0]:
        sentences = (
            "".join(
                f"{word}\t{tag}\n" for word, tag in zip(row["tokens"], row["tags"], strict=True)
            )
            for row in rows
        )
        return "\n".join(sentences).encode()
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


# ---------------------------------------------------------------- report


def _accuracy(rows: Sequence[Any]) -> float:
    return float(np.mean(rows))


def _pearson(rows: Sequence[Any]) -> float:
    true, predicted = np.asarray(rows, float).T
    return float(np.corrcoef(true, predicted)[0, 1])


def _f1(rows: Sequence[Any]) -> float:
    right, predicted, true = np.asarray(rows, float).sum(0)
    return float(2 * right / (predicted + true)) if predicted + true else 0.0


MEASURES: dict[str, Callable[[Sequence[Any]], float]] = {
    "classify": _accuracy, "regress": _pearson, "tag": _f1,
}  # fmt: skip


def _score(line: dict[str, Any]) -> float:
    return MEASURES[line["head"]](line["rows"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The mean over the splits of one side's score less another's, and its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.3f} ({self.low:+.3f} … {self.high:+.3f})"


def paired_difference(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> Difference:
    """Of runs on the same test rows, in the order of their splits."""
    measure = MEASURES[ours[0]["head"]]
    pairs = []
    for mine, other in zip(ours, theirs, strict=True):
        assert mine["digest"] == other["digest"], "these runs had other rows"
        pairs.append((np.asarray(mine["rows"], float), np.asarray(other["rows"], float)))
    rng = np.random.default_rng(0)
    draws = [
        statistics.fmean(_drawn_difference(measure, mine, other, rng) for mine, other in pairs)
        for _ in range(_BOOTSTRAPS)
    ]
    mean = statistics.fmean(measure(mine) - measure(other) for mine, other in pairs)
    low, high = np.quantile(draws, [0.025, 0.975])
    return Difference(mean=mean, low=float(low), high=float(high))


def _drawn_difference(
    measure: Callable[[Any], float], mine: Any, other: Any, rng: np.random.Generator
) -> float:
    drawn = rng.integers(len(mine), size=len(mine))
    return measure(mine[drawn]) - measure(other[drawn])


def report(lines: list[dict[str, Any]]) -> str:
    by_run: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
    for line in lines:
        by_run.setdefault((line["set"], line["side"]), {})[line["split"]] = line
    return "\n\n".join([_peer_table(by_run), _variant_table(by_run)])


Runs = dict[tuple[str, str], dict[int, dict[str, Any]]]


def _common(by_run: Runs, name: str, ours: str, theirs: str) -> tuple[list[Any], list[Any]] | None:
    first, second = by_run.get((name, ours), {}), by_run.get((name, theirs), {})
    splits = sorted(first.keys() & second.keys())
    return ([first[s] for s in splits], [second[s] for s in splits]) if splits else None


def _peer_table(by_run: Runs) -> str:
    rows = []
    for name, labelled in SETS.items():
        if own := list(by_run.get((name, DEFAULT), {}).values()):
            mean = statistics.fmean(_score(line) for line in own)
            seconds = statistics.median(line["seconds"] for line in own)
            cells = [
                str(paired_difference(*runs))
                if (runs := _common(by_run, name, DEFAULT, peer))
                else ""
                for peer in PEERS
            ]
            rows.append(
                [name, labelled.metric, f"{mean:.3f}", *cells, str(len(own)), f"{seconds:.0f}"]
            )
    heading = ["set", "metric", "default", *(f"less {peer}" for peer in PEERS), "splits", "seconds"]
    return table(heading, rows)


def _variant_table(by_run: Runs) -> str:
    """Each factor against the default: the mean over the sets, and where it is better or worse."""
    rows = []
    for variant in VARIANTS:
        if variant == DEFAULT:
            continue
        common = [runs for name in SETS if (runs := _common(by_run, name, variant, DEFAULT))]
        if not common:
            continue
        differences = [paired_difference(*runs) for runs in common]
        ratios = [
            statistics.median(a["seconds"] / b["seconds"] for a, b in zip(*runs, strict=True))
            for runs in common
        ]
        mean = statistics.fmean(each.mean for each in differences)
        better = sum(each.low > 0 for each in differences)
        worse = sum(each.high < 0 for each in differences)
        rows.append(
            [
                variant,
                f"{mean:+.4f}",
                f"{better} / {worse} / {len(common)}",
                f"{statistics.median(ratios):.2f}",
            ]
        )
    heading = ["instead of the default", "mean difference", "better / worse / sets", "time"]
    return table(heading, rows)


if __name__ == "__main__":
    main()
