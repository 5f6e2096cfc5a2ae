"""Whether probabilities are calibrated: of the answers with a confidence of 0.8, are 80 % right?
Compares them before and after the head's temperature. Fits nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from engine.heads.head import sigmoid, softmax

_BINS = 10
Floats = NDArray[np.float64]


class Bin(TypedDict):
    """The answers whose confidence lies in one tenth of 0 to 1."""

    #: the mean of their confidence
    confidence: float
    #: the share of them that are right
    right: float
    rows: int


class Reliability(TypedDict):
    """Of the test rows, in bins of confidence."""

    #: expected calibration error: the mean of |confidence - right| over answers, by bin
    ece: float
    #: bins without answers are left out
    bins: list[Bin]
    #: mean log loss in nats of the answers that were given
    loss: float


class Calibration(TypedDict):
    """Calibration of the test rows."""

    #: the divisor of the logits, fitted on dev rows; 1 where none was fitted
    temperature: float
    before: Reliability
    after: Reliability
    #: whether the temperature makes the log loss of the test rows larger
    is_worse: bool
    #: sentences: the temperature that is served, and what it does to the test rows
    words: str


def measure_calibration(
    head: Mapping[str, Any], logits: Sequence[Sequence[float]], truth: Sequence[Any], num_dev: int
) -> Calibration | None:
    """None for heads that answer no probability."""
    if head["kind"] not in ("classify", "rerank") or not logits:
        return None
    temperature = float(head.get("temperature", 1.0))
    before, after = (
        _measure_reliability(
            *_read_claims(head, np.asarray(logits, np.float32) / np.float32(divisor), truth)
        )
        for divisor in (1.0, temperature)
    )
    return {
        "temperature": temperature,
        "before": before,
        "after": after,
        "is_worse": after["loss"] > before["loss"],
        "words": _describe(head, before, after, num_dev),
    }


def _describe(
    head: Mapping[str, Any], before: Reliability, after: Reliability, num_dev: int
) -> str:
    temperature = float(head.get("temperature", 1.0))
    if temperature == 1.0:
        return (
            f"Probabilities are served as trained: expected calibration error {after['ece']:.3f}, "
            f"log loss {after['loss']:.3f} on the test rows."
        )
    # a multi-label task predicts by a threshold on probabilities
    unchanged = "" if head.get("multi_label") else "; predicted labels do not change"
    fitted = (
        f"Served probabilities use the temperature {temperature:.3g}, fitted on {num_dev} dev rows"
        f"{unchanged}"
    )
    figures = (
        f"log loss {before['loss']:.3f} without it, {after['loss']:.3f} with it; expected "
        f"calibration error {before['ece']:.3f} without it, {after['ece']:.3f} with it"
    )
    if after["loss"] > before["loss"]:
        return (
            f"{fitted}. It makes the probabilities of the test rows worse: {figures}. More dev "
            "rows would fit it better."
        )
    return f"{fitted}. On the test rows: {figures}."


def _read_claims(
    head: Mapping[str, Any], logits: NDArray[np.float32], truth: Sequence[Any]
) -> tuple[Floats, NDArray[np.bool_]]:
    """The confidence of each claim, and whether it is true. Every independent yes or no is a claim;
    of exclusive labels only the predicted one is.
    """
    if head["kind"] == "rerank":
        return sigmoid(logits).ravel(), np.asarray(truth, float) > 0.5
    names = head["labels"]
    if head["multi_label"]:
        has_label = np.array([[name in row for name in names] for row in truth])
        return sigmoid(logits).ravel(), has_label.ravel()
    shares = softmax(logits)
    best = shares.argmax(1)
    return shares.max(1), np.array([names[i] == t for i, t in zip(best, truth, strict=True)])


def _measure_reliability(confidence: Floats, right: NDArray[np.bool_]) -> Reliability:
    place = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    bins: list[Bin] = []
    error = 0.0
    for index in sorted(set(place.tolist())):
        inside = place == index
        expected, actual = float(confidence[inside].mean()), float(right[inside].mean())
        error += inside.mean() * abs(expected - actual)
        bins.append({"confidence": expected, "right": actual, "rows": int(inside.sum())})
    return {"ece": float(error), "bins": bins, "loss": _measure_log_loss(confidence, right)}


def _measure_log_loss(confidence: Floats, right: NDArray[np.bool_]) -> float:
    probability = np.clip(np.where(right, confidence, 1 - confidence), 1e-12, 1.0)
    return float(-np.log(probability).mean())
