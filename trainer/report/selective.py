"""Coverage against accuracy: what is gained by answering only above a threshold of confidence
(selective prediction; El-Yaniv & Wiener 2010, Geifman & El-Yaniv 2017). Thresholds for a target are
chosen on dev rows and confirmed on test rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from engine.heads.head import softmax

_THRESHOLDS = (0.5, 0.8, 0.9, 0.95)
_TARGETS = (0.8, 0.9, 0.95, 0.99)
#: fewer dev rows do not choose a threshold
MIN_DEV_ROWS = 20
#: above a threshold that is chosen, so many dev rows must be answered
_LEAST_ANSWERED = 10
#: of the plot
_MOST_POINTS = 60
_Z = 1.959964

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Answered(TypedDict):
    """The rows whose confidence reaches a threshold."""

    threshold: float
    #: the share of all rows
    coverage: float
    rows: int
    #: the share of these rows that are right, with its Wilson interval; null without rows
    accuracy: float | None
    low: float | None
    high: float | None


class Fixed(Answered):
    """Of the test rows, above a threshold that is the same in every report."""

    words: str


class Target(TypedDict):
    """The lowest threshold above which the dev rows reach an accuracy, and the test rows above
    it.
    """

    accuracy: float
    dev: Answered
    test: Answered
    words: str


class Selective(TypedDict):
    """Of the served probabilities."""

    thresholds: list[Fixed]
    #: empty without a target that dev rows reach, and with too few of them
    targets: list[Target]
    #: coverage, accuracy and its interval, by growing coverage
    curve: list[tuple[float, float, float, float]]
    #: the mean of 1 - accuracy over all coverages (area under the risk-coverage curve)
    aurc: float
    #: why there are no targets
    note: str | None


def score_selective(
    head: Mapping[str, Any],
    test: tuple[Sequence[Sequence[float]], Sequence[Any]],
    dev: tuple[Sequence[Sequence[float]], Sequence[Any]],
) -> Selective | None:
    """`test` and `dev` are logits and labels. None for heads that do not choose one label."""
    if head["kind"] != "classify" or head.get("multi_label") or not test[0]:
        return None
    claims = _read_claims(head, *test)
    targets = _choose(claims, _read_claims(head, *dev)) if len(dev[0]) >= MIN_DEV_ROWS else []
    return {
        "thresholds": [_describe_fixed(_count(*claims, threshold)) for threshold in _THRESHOLDS],
        "targets": targets,
        **_draw_curve(*claims),
        "note": None if targets else _explain(len(dev[0])),
    }


def wilson_interval(num_right: int, num_rows: int) -> tuple[float, float]:
    """Of a share, with 95 % confidence. It is not empty where all rows are right, as a bootstrap
    interval is.
    """
    share, squared = num_right / num_rows, _Z**2 / num_rows
    middle = share + squared / 2
    half = _Z * ((share * (1 - share) + squared / 4) / num_rows) ** 0.5
    low, high = ((middle + sign * half) / (1 + squared) for sign in (-1, 1))
    return max(0.0, low), min(1.0, high)


def _read_claims(
    head: Mapping[str, Any], logits: Sequence[Sequence[float]], truth: Sequence[Any]
) -> tuple[Floats, Mask]:
    """The served confidence in each predicted label, and whether it is right."""
    temperature = np.float32(head.get("temperature", 1.0))
    shares = softmax(np.asarray(logits, np.float32) / temperature)
    names, best = head["labels"], shares.argmax(1)
    right = [names[index] == label for index, label in zip(best, truth, strict=True)]
    return shares.max(1).astype(np.float64), np.array(right)


def _count(confidence: Floats, right: Mask, threshold: float) -> Answered:
    is_answered = confidence >= threshold
    rows, num_right = int(is_answered.sum()), int(right[is_answered].sum())
    low, high = wilson_interval(num_right, rows) if rows else (None, None)
    return {
        "threshold": threshold,
        "coverage": rows / len(right),
        "rows": rows,
        "accuracy": num_right / rows if rows else None,
        "low": low,
        "high": high,
    }


def _choose(test: tuple[Floats, Mask], dev: tuple[Floats, Mask]) -> list[Target]:
    """For each target that all dev rows together miss, and that some reach."""
    targets: list[Target] = []
    for accuracy in _TARGETS:
        threshold = _find_threshold(*dev, accuracy)
        if threshold is not None:
            on_dev, on_test = _count(*dev, threshold), _count(*test, threshold)
            words = _describe_target(accuracy, on_dev, on_test, len(dev[1]))
            targets.append({"accuracy": accuracy, "dev": on_dev, "test": on_test, "words": words})
    return targets


def _find_threshold(confidence: Floats, right: Mask, accuracy: float) -> float | None:
    """With three digits, as it is passed on; None where no threshold is needed or suffices."""
    if right.mean() >= accuracy:
        return None
    for threshold in sorted({float(np.floor(each * 1000) / 1000) for each in confidence}):
        is_answered = confidence >= threshold
        if is_answered.sum() < _LEAST_ANSWERED:
            return None
        if right[is_answered].mean() >= accuracy:
            return threshold
    return None


class _Curve(TypedDict):
    curve: list[tuple[float, float, float, float]]
    aurc: float


def _draw_curve(confidence: Floats, right: Mask) -> _Curve:
    """Rows of equal confidence are answered together."""
    order = np.argsort(-confidence, kind="stable")
    ordered, num_right = confidence[order], np.cumsum(right[order])
    counts = np.arange(1, len(right) + 1)
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    risks = 1 - (num_right / counts)[ends]
    widths = np.diff(counts[ends], prepend=0) / len(right)
    # the first points are of a few rows
    shown = [end for end in ends if counts[end] * 20 >= len(right)] or [ends[-1]]
    step = max(1, -(-len(shown) // _MOST_POINTS))
    kept = [*shown[:-1][::step], shown[-1]]
    return {
        "curve": [
            (
                float(counts[end] / len(right)),
                float(num_right[end] / counts[end]),
                *wilson_interval(int(num_right[end]), int(counts[end])),
            )
            for end in kept
        ],
        "aurc": float((risks * widths).sum()),
    }


def _describe_fixed(answered: Answered) -> Fixed:
    if answered["accuracy"] is None:
        words = f"No test row has a confidence of {answered['threshold']:.2f} or more."
    else:
        words = (
            f"Answering only when the confidence is at least {answered['threshold']:.2f} covers "
            f"{_describe_rows(answered)}."
        )
    return {**answered, "words": words}


def _describe_target(accuracy: float, dev: Answered, test: Answered, num_dev: int) -> str:
    chosen = (
        f"For an accuracy of {accuracy:.2f}, {num_dev} dev rows choose the threshold "
        f"{dev['threshold']:.3f}"
    )
    if test["accuracy"] is None:
        return f"{chosen}; no test row reaches it."
    return f"{chosen}: it covers {_describe_rows(test)}."


def _describe_rows(answered: Answered) -> str:
    return (
        f"{100 * answered['coverage']:.0f} % of the test rows, {answered['accuracy']:.3f} of them "
        f"right (95 % interval {answered['low']:.3f} to {answered['high']:.3f})"
    )


def _explain(num_dev: int) -> str:
    if num_dev < MIN_DEV_ROWS:
        return (
            f"No threshold was chosen: {num_dev} dev rows are too few; {MIN_DEV_ROWS} are needed."
        )
    listed = ", ".join(f"{target:g}" for target in _TARGETS)
    return (
        f"No threshold was chosen: for each target accuracy ({listed}), the dev rows reach it "
        "without a threshold, or not at all."
    )
