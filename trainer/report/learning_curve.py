"""Whether more rows would help, from what a quarter, a half and all of them reach on dev."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any


def learning_curve(
    points: Sequence[Mapping[str, Any]] | None, interval: Mapping[str, float] | None
) -> dict[str, Any] | None:
    """The points, {"share", "rows", "value", "more_is_better"}, and a sentence."""
    if not points or len(points) < 2:
        return None
    sign = 1.0 if points[-1]["more_is_better"] else -1.0
    gains = [sign * (after["value"] - before["value"]) for before, after in pairwise(points)]
    chance = (interval["high"] - interval["low"]) / 4 if interval else 0.0
    return {"points": list(points), "words": _words(gains[-1], chance, points[-1]["rows"])}


def _words(gain: float, chance: float, rows: int) -> str:
    doubling = f"the last doubling of the rows, to {rows}, brought {gain:+.3f}"
    if gain > max(chance, 0.005):
        return f"More data would help: {doubling}; the next doubling may add about half of that."
    if gain > 0:
        return f"More data would help little: {doubling}, which is within the noise of the metric."
    return f"More data of this kind would hardly help: {doubling} on dev."
