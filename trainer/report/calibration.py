"""Whether probabilities can be believed: of the answers given with a confidence of 0.8, are 80 %
right? Expected calibration error and reliability, before and after the head's temperature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.heads.head import sigmoid, softmax

_BINS = 10
Floats = NDArray[np.float64]


def calibration(
    head: Mapping[str, Any], logits: Sequence[Sequence[float]], truth: Sequence[Any]
) -> dict[str, Any] | None:
    """None for heads that answer no probability."""
    if head["kind"] not in ("classify", "rerank") or not logits:
        return None
    temperature = float(head.get("temperature", 1.0))
    found = {}
    for name, divisor in (("before", 1.0), ("after", temperature)):
        served = np.asarray(logits, np.float32) / np.float32(divisor)
        confidence, right = _claims(head, served, truth)
        found[name] = {**_reliability(confidence, right), "loss": _log_loss(confidence, right)}
    return {"temperature": temperature, **found}


def _claims(
    head: Mapping[str, Any], logits: NDArray[np.float32], truth: Sequence[Any]
) -> tuple[Floats, NDArray[np.bool_]]:
    """What was claimed with which confidence, and whether it was so. Of independent answers each is
    a claim; else the one that is given.
    """
    if head["kind"] == "rerank":
        return sigmoid(logits).ravel(), np.asarray(truth, float) > 0.5
    names = head["labels"]
    if head["multi_label"]:
        wanted = np.array([[name in row for name in names] for row in truth])
        return sigmoid(logits).ravel(), wanted.ravel()
    shares = softmax(logits)
    best = shares.argmax(1)
    return shares.max(1), np.array([names[i] == t for i, t in zip(best, truth, strict=True)])


def _reliability(confidence: Floats, right: NDArray[np.bool_]) -> dict[str, Any]:
    place = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    bins, error = [], 0.0
    for index in sorted(set(place.tolist())):
        inside = place == index
        claimed, came_true = float(confidence[inside].mean()), float(right[inside].mean())
        error += inside.mean() * abs(claimed - came_true)
        bins.append({"confidence": claimed, "right": came_true, "rows": int(inside.sum())})
    return {"ece": float(error), "bins": bins}


def _log_loss(confidence: Floats, right: NDArray[np.bool_]) -> float:
    given = np.clip(np.where(right, confidence, 1 - confidence), 1e-12, 1.0)
    return float(-np.log(given).mean())
