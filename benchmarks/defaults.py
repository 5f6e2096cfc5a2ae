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
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.defaults_report import DEFAULT, PEERS, VARIANTS, report, score
from benchmarks.defaults_sets import SETS, LabelledSet, Row, Split
from benchmarks.measure import conditions

DATA = Path(__file__).parents[2] / "shared" / "data"
#: settings that presets and the number of rows choose
_NOTED = ("layers", "epochs", "batch_rows", "patience", "seeds")
FOUND = Path(__file__).parent / "peers" / "defaults.jsonl"


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
    """Tags are read word by word: there is no bag of words and no pooling."""
    return side not in ("TF-IDF", "mean pooling") or SETS[name].head != "tag"


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
    ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if ran.returncode:
        print(f"{name} · {side} · {split}: failed with {ran.returncode}", flush=True)
        return
    line = ran.stdout.splitlines()[-1]
    with FOUND.open("a") as results:
        results.write(line + "\n")
    result = json.loads(line)
    print(f"{name} · {side} · {split}: {score(result):.4f}, {result['seconds']:.0f} s", flush=True)


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
    from trainer.heads import HEAD_DATA
    from trainer.jobs.values import JobSpec
    from trainer.pipeline.reporting import Reporting
    from trainer.settings.settings import TrainingSettings

    seen: list[Any] = []
    collect = Reporting.evidence

    def observe(self: Reporting, evaluated: Any) -> Any:
        seen.append(evaluated)
        return collect(self, evaluated)

    Reporting.evidence = observe  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as scratch:
        ours = Ours(Path(scratch), threads, "auto")
        try:
            suffix = "conll" if labelled.head == "tag" else "jsonl"
            files = [
                ours.files.put("default", f"{part}.{suffix}", "fine-tune", [_write(rows)], 2**30)
                for part, rows in (("train", split.train), ("test", split.test))
            ]
            pairs = "text_pair" if "text_pair" in split.train[0] else None
            settings = dict(settings)
            spec = JobSpec(
                tenant="default", task="defaults", file_id=files[0].id, test_file_id=files[1].id,
                head=labelled.head, text_pair_column=pairs, pooling=settings.pop("pooling", ""),
                chosen=tuple(settings),
                settings=TrainingSettings.parse({"seed": seed, **settings}),
            )  # fmt: skip
            job = ours.trainer.submit(spec)
            ours.trainer.run_once()
            job = ours.trainer.get("default", job.id)
        finally:
            ours.port.close()
    assert job.status == "succeeded", (job.error_code, job.error_message)
    (evaluated,) = seen
    rows, runs = evaluated.test_rows, evaluated.experiment.outcomes
    assert len(rows) == len(split.test), "the job left test rows out"
    order = sorted(range(len(rows)), key=lambda index: rows[index].example.line)

    def judge_all(predictions: Sequence[Any]) -> list[Any]:
        return [
            judge(labelled.head, row, predictions[index])
            for row, index in zip(split.test, order, strict=True)
        ]

    answers = [test.answers for test in evaluated.tests]
    mean = [np.mean(each, axis=0) for each in zip(*answers, strict=True)]
    result = {
        "kind": job.result["kind"],
        "epochs": [len(run.state.epochs) for run in runs],
        "trained_with": {name: getattr(runs[0].spec.settings, name) for name in _NOTED},
        "dev": [run.state.best for run in runs],
        "seed_rows": [judge_all(test.predictions) for test in evaluated.tests],
        "mean_rows": judge_all(HEAD_DATA[labelled.head].guesses(rows, mean, evaluated.head, None)),
    }
    predictions = evaluated.test.predictions
    return [predictions[index] for index in order], result


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


if __name__ == "__main__":
    main()
