"""The tables of `benchmarks.defaults`: its sides, their scores, and their paired differences.

Reads finished runs; starts none.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.defaults_sets import SETS
from benchmarks.measure import table

#: as the defaults were before this table; in full, so that a line keeps its meaning
_BEFORE = {"layers": 3, "seeds": 3, "epochs": 5, "patience": 2, "learning_rate": 1e-3}
_ALL = {**_BEFORE, "layers": 6}
_ONE = {**_ALL, "seeds": 1}
DEFAULT = "before"
#: one factor at a time
VARIANTS: dict[str, dict[str, Any]] = {
    DEFAULT: _BEFORE,
    "all layers": _ALL,
    "all layers, one seed": _ONE,
    "3 epochs": {**_ONE, "epochs": 3},
    "10 epochs": {**_ONE, "epochs": 10, "patience": 3},
    "rate halved": {**_ONE, "learning_rate": 5e-4},
    "rate doubled": {**_ONE, "learning_rate": 2e-3},
    "cosine": {**_ONE, "schedule": "cosine"},
    "no dropout": {**_ONE, "dropout": 0.0, "head_dropout": 0.0},
    "rank 16": {**_ONE, "rank": 16},
    "no dev rows": {**_ONE, "dev_share": 0.0},
    "mean pooling": {**_ONE, "pooling": "mean"},
    "batches of 16": {**_ONE, "batch_rows": 16},
    "batches of 8": {**_ONE, "batch_rows": 8},
    "alpha 16": {**_ONE, "alpha": 16},
    "128 tokens": {**_ONE, "max_tokens": 128},
}
PEERS = ("PEFT, all linears", "full fine-tuning", "TF-IDF")
_BOOTSTRAPS = 2000


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


def score(line: dict[str, Any]) -> float:
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
            mean = statistics.fmean(score(line) for line in own)
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
