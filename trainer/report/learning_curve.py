"""Whether more rows would help, judged by the dev metric of a quarter, a half and all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, TypedDict


class LearningPoint(TypedDict):
    """A training on a part of the rows, with the same settings and the same seed."""

    #: the part of the training rows, up to 1
    share: float
    rows: int
    #: the head's main metric on dev
    value: float
    more_is_better: bool


class LearningCurve(TypedDict):
    """Dev metric by number of training rows."""

    points: list[LearningPoint]
    #: a sentence that says whether more rows would help
    words: str


def judge_learning_curve(
    points: Sequence[LearningPoint] | None, interval: Mapping[str, Any] | None
) -> LearningCurve | None:
    """`interval` is that of the metric on the test rows: half of its half width counts as noise."""
    if not points or len(points) < 2:
        return None
    sign = 1.0 if points[-1]["more_is_better"] else -1.0
    gains = [sign * (after["value"] - before["value"]) for before, after in pairwise(points)]
    noise = (interval["high"] - interval["low"]) / 4 if interval else 0.0
    return {"points": list(points), "words": _describe(gains[-1], noise, points[-1]["rows"])}


def _describe(gain: float, noise: float, rows: int) -> str:
    doubling = f"the last doubling of the training rows, to {rows}, gained {gain:+.3f} on dev"
    if gain > max(noise, 0.005):
        return f"More data would help: {doubling}; the next doubling may add about half of that."
    if gain > 0:
        return f"More data would help little: {doubling}, which is within the noise of the metric."
    return f"More data of this kind would hardly help: {doubling}."
