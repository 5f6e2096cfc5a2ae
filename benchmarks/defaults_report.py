"""The tables of `benchmarks.defaults`: its sides, their scores, and their paired differences.

Reads finished runs; starts none.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.defaults_sets import SETS
from benchmarks.measure import table

DEFAULT = "balanced"
PRESETS = ("fast", DEFAULT, "thorough")
#: as the defaults were before this table; in full, so that a line keeps its meaning
_BEFORE: dict[str, Any] = {
    "layers": 3, "seeds": 3, "epochs": 5, "patience": 2, "batch_rows": 32, "learning_rate": 1e-3,
}  # fmt: skip
BEFORE = "before"
_LARGE_BATCH = {**_BEFORE, "layers": 6, "seeds": 1}
FEW_STEPS = "batches of 32"
#: how many steps a run takes, and what else makes it learn faster, over all layers
STEPS: dict[str, dict[str, Any]] = {
    "batches of 16": {"batch_rows": 16},
    "batches of 8": {"batch_rows": 8},
    "batches of 32, 10 epochs": {"epochs": 10, "patience": 3},
    "batches of 32, rate doubled": {"learning_rate": 2e-3},
    "batches of 32, alpha 16": {"alpha": 16},
    "batches of 32, mean pooling": {"pooling": "mean"},
    "batches of 32, three seeds": {"seeds": 3},
}
#: one change of the default each
FACTORS: dict[str, dict[str, Any]] = {
    "batches of 8, 5 epochs": {"batch_rows": 8, "epochs": 5, "patience": 2},
    "batches of 8, 4 epochs": {"batch_rows": 8, "epochs": 4, "patience": 2},
    "rate halved": {"learning_rate": 5e-4},
    "rate doubled": {"learning_rate": 2e-3},
    "cosine": {"schedule": "cosine"},
    "no dropout": {"dropout": 0.0, "head_dropout": 0.0},
    "rank 16": {"rank": 16},
    "alpha 16": {"alpha": 16},
    "mean pooling": {"pooling": "mean"},
    "no dev rows": {"dev_share": 0.0},
    "128 tokens": {"max_tokens": 128},
}
VARIANTS: dict[str, dict[str, Any]] = {
    **{preset: {"preset": preset} for preset in PRESETS},
    BEFORE: _BEFORE,
    FEW_STEPS: _LARGE_BATCH,
    **{name: {**_LARGE_BATCH, **changes} for name, changes in STEPS.items()},
    **FACTORS,
}
PEERS = (
    "PEFT, all linears", "full fine-tuning", "TF-IDF", "PEFT, batches of 8",
    "full fine-tuning, batches of 8",
)  # fmt: skip
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


Runs = dict[tuple[str, str], dict[int, dict[str, Any]]]


def report(lines: list[dict[str, Any]]) -> str:
    by_run: Runs = {}
    for line in lines:
        by_run.setdefault((line["set"], line["side"]), {})[line["split"]] = line
    return "\n\n".join(
        [
            _score_table(by_run),
            _difference_table(by_run),
            _preset_table(by_run),
            _factors(by_run),
            _seed_table(lines),
        ]
    )


def _common(by_run: Runs, name: str, ours: str, theirs: str) -> tuple[list[Any], list[Any]] | None:
    """The runs of two sides on the same splits of a set."""
    first, second = by_run.get((name, ours), {}), by_run.get((name, theirs), {})
    splits = sorted(first.keys() & second.keys())
    return ([first[s] for s in splits], [second[s] for s in splits]) if splits else None


def _differences(by_run: Runs, ours: str, theirs: str) -> dict[str, Difference]:
    """By set, of those that both sides were run on."""
    common = {name: _common(by_run, name, ours, theirs) for name in SETS}
    return {name: paired_difference(*runs) for name, runs in common.items() if runs}


def _score_table(by_run: Runs) -> str:
    sides = [*PRESETS, BEFORE, *PEERS]
    rows = []
    for name, labelled in SETS.items():
        runs = [list(by_run.get((name, side), {}).values()) for side in sides]
        means = [f"{statistics.fmean(map(score, each)):.3f}" if each else "" for each in runs]
        rows.append([name, labelled.metric, *means])
    return table(["set", "metric", *sides], rows)


def _difference_table(by_run: Runs) -> str:
    """Of the default less each peer, by set and on average."""
    by_peer = {peer: _differences(by_run, DEFAULT, peer) for peer in PEERS}
    rows = []
    for name in SETS:
        cells = [str(by_peer[peer].get(name, "")) for peer in PEERS]
        rows.append([name, *cells, str(len(by_run.get((name, DEFAULT), {})))])
    means = [_mean(each.values()) for each in by_peer.values()]
    rows.append(["mean", *means, ""])
    return table([f"set, {DEFAULT}", *(f"less {peer}" for peer in PEERS), "splits"], rows)


def _preset_table(by_run: Runs) -> str:
    return _sides_against(by_run, [*PRESETS, BEFORE], PEERS[0], f"less {PEERS[0]}")


def _factors(by_run: Runs) -> str:
    return "\n\n".join(
        [
            _sides_against(by_run, list(STEPS), FEW_STEPS, f"instead of {FEW_STEPS}"),
            _sides_against(
                by_run, ["fast", "thorough", *FACTORS], DEFAULT, f"instead of {DEFAULT}"
            ),
        ]
    )


def _seed_table(lines: list[dict[str, Any]]) -> str:
    """What several seeds are good for: one of them, the published one or mean, the mean logits."""
    rows = []
    for line in lines:
        if len(line.get("seed_rows", ())) > 1:
            measure = MEASURES[line["head"]]
            single = statistics.fmean(measure(seed) for seed in line["seed_rows"])
            gains = [measure(line[name]) - single for name in ("rows", "mean_rows")]
            rows.append([line["side"], *gains])
    heading = ["several seeds", "runs", "published, less one seed", "mean logits, less one seed"]
    sides = dict.fromkeys(row[0] for row in rows)
    means = [(side, [row[1:] for row in rows if row[0] == side]) for side in sides]
    cells = [
        [
            side,
            str(len(gains)),
            *(f"{statistics.fmean(each):+.4f}" for each in zip(*gains, strict=True)),
        ]
        for side, gains in means
    ]
    return table(heading, cells)


def _sides_against(by_run: Runs, sides: Sequence[str], other: str, heading: str) -> str:
    """The mean over the sets, and on how many a side is better or worse beyond its interval."""
    rows = []
    for side in sides:
        if differences := _differences(by_run, side, other):
            better = sum(each.low > 0 for each in differences.values())
            worse = sum(each.high < 0 for each in differences.values())
            counts = f"{better} / {worse} / {len(differences)}"
            rows.append([side, _mean(differences.values()), counts])
    return table([heading, "mean difference", "better / worse / sets"], rows)


def _mean(differences: Iterable[Difference]) -> str:
    known = [each.mean for each in differences]
    return f"{statistics.fmean(known):+.4f}" if known else ""
