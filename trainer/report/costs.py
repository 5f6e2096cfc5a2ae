"""The cost of errors, where labels have weights: an error on a row costs the weight of its label
(Elkan 2001). By model, and for two labels with the threshold that costs least on dev rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from engine.heads.head import softmax
from trainer.report.resampling import Interval, compute_intervals
from trainer.report.score import SumScore

#: fewer dev rows do not choose a threshold
MIN_DEV_ROWS = 20
_PER = 1000

Floats = NDArray[np.float64]


class ModelCost(TypedDict):
    """Of one model."""

    name: str
    #: for 1,000 rows like the test rows
    cost: Interval


class CheapestThreshold(TypedDict):
    """Of a task with two labels."""

    #: the label whose errors cost more
    label: str
    #: its probability from which it is predicted
    threshold: float
    #: of the test rows, for 1,000
    cost: Interval


class Costs(TypedDict):
    """The expected cost of errors."""

    #: by label
    weights: dict[str, float]
    #: this version, then the other models
    models: list[ModelCost]
    cheapest: CheapestThreshold | None
    #: sentences
    words: list[str]


def score_costs(
    head: Mapping[str, Any],
    weights: Mapping[str, float] | None,
    truth: Sequence[Any],
    guesses: Mapping[str, Sequence[Any]],
    logits: tuple[Sequence[Sequence[float]], Sequence[Sequence[float]]],
    dev_truth: Sequence[Any],
) -> Costs | None:
    """`guesses` are those of each model by its name, this version's first; `logits` are of the test
    and of the dev rows. None without weights, and for heads that do not choose one label.
    """
    if not weights or head["kind"] != "classify" or head.get("multi_label"):
        return None
    by_label = {name: float(weights.get(name, 1.0)) for name in head["labels"]}
    price = np.array([by_label.get(label, 1.0) for label in truth])
    models: list[ModelCost] = [
        {"name": name, "cost": _measure(price, _find_wrong(truth, answers))}
        for name, answers in guesses.items()
    ]
    cheapest = None
    if len(by_label) == 2 and len(dev_truth) >= MIN_DEV_ROWS:
        cheapest = _find_cheapest(head, by_label, (truth, dev_truth), logits)
    return {
        "weights": by_label,
        "models": models,
        "cheapest": cheapest,
        "words": [_describe_models(models), *_describe_threshold(models, cheapest, len(dev_truth))],
    }


def _find_wrong(truth: Sequence[Any], guesses: Sequence[Any]) -> NDArray[np.bool_]:
    return np.array([label != guess for label, guess in zip(truth, guesses, strict=True)])


def _measure(price: Floats, is_wrong: NDArray[np.bool_]) -> Interval:
    columns = np.column_stack([_PER * price * is_wrong, np.ones(len(price))])
    score = SumScore(
        name="cost", columns_NK=columns, value=lambda sums: sums[..., 0] / sums[..., 1]
    )
    return compute_intervals([score], len(price))["cost"]


def _find_cheapest(
    head: Mapping[str, Any],
    by_label: Mapping[str, float],
    truths: tuple[Sequence[Any], Sequence[Any]],
    logits: tuple[Sequence[Sequence[float]], Sequence[Sequence[float]]],
) -> CheapestThreshold:
    """The threshold on the served probability of the costlier label with the lowest cost on dev."""
    names = list(head["labels"])
    label = max(names, key=lambda name: by_label[name])
    other = next(name for name in names if name != label)
    shares, dev_shares = (
        softmax(np.asarray(part, np.float32) / np.float32(head.get("temperature", 1.0)))[
            :, names.index(label)
        ]
        for part in logits
    )

    def measure(share: Floats, truth: Sequence[Any], threshold: float) -> tuple[Floats, Any]:
        guesses = np.where(share >= threshold, label, other)
        return np.array([by_label[name] for name in truth]), np.asarray(truth) != guesses

    def cost_on_dev(threshold: float) -> float:
        price, is_wrong = measure(dev_shares, truths[1], threshold)
        return float((price * is_wrong).sum())

    threshold = min((number / 100 for number in range(1, 100)), key=_nearest_first(cost_on_dev))
    return {
        "label": label,
        "threshold": threshold,
        "cost": _measure(*measure(shares, truths[0], threshold)),
    }


def _nearest_first(cost: Callable[[float], float]) -> Callable[[float], tuple[float, float]]:
    """Of thresholds that cost the same, the one nearest to 0.5."""
    return lambda threshold: (cost(threshold), abs(threshold - 0.5))


def _describe_models(models: Sequence[ModelCost]) -> str:
    ours, *others = models
    figures = ", ".join(f"{_format(other['cost'])} with {other['name']}" for other in others)
    interval = f"95 % interval {ours['cost']['low']:.1f} to {ours['cost']['high']:.1f}"
    return (
        f"Errors cost {_format(ours['cost'])} per 1,000 rows ({interval})"
        f"{f'; {figures}' if figures else ''}."
    )


def _describe_threshold(
    models: Sequence[ModelCost], cheapest: CheapestThreshold | None, num_dev: int
) -> list[str]:
    if cheapest is None:
        return []
    return [
        f"Predicting {cheapest['label']} from a probability of {cheapest['threshold']:.2f} on, "
        f"which costs least on {num_dev} dev rows, costs {_format(cheapest['cost'])} per 1,000 "
        f"test rows instead of {_format(models[0]['cost'])}."
    ]


def _format(cost: Interval) -> str:
    return f"{cost['value']:.1f}"
