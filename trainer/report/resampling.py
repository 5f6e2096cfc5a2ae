"""By how much a metric could be luck: bootstrap intervals, and paired tests of two models on the
same rows. Seeded, so that the same answers give the same report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.report.score import Floats, Score, SumScore

CONFIDENCE = 0.95
#: fewer resamples of very many rows: their intervals are narrow anyway
_MOST_DRAWN = 40_000_000
_LEAST = 200
#: so many numbers are drawn at a time
_PART = 2_000_000
_SEED = 20_231


def intervals(scores: Sequence[Score], num_rows: int) -> dict[str, Any]:
    """{metric: {"value", "low", "high"}}; nothing for a metric without a value."""
    found = {}
    for score in scores:
        (value,) = score.resampled(np.ones((1, num_rows)))
        draws = _collected(score.resampled, _counts(num_rows, score.num_draws))
        if np.isfinite(value) and len(draws):
            found[score.name] = {"value": float(value), **_ends(draws)}
    return found


def compared(ours: Score, theirs: Score, num_rows: int) -> dict[str, Any] | None:
    """How much better ours is (above zero: better, whichever way the metric counts), and how easily
    that comes about by chance. None where a side has no value.
    """
    sign = 1.0 if ours.more_is_better else -1.0
    once = np.ones((1, num_rows))
    values = [float(score.resampled(once)[0]) for score in (ours, theirs)]
    if not np.isfinite(values).all():
        return None

    def difference(counts: Floats) -> Floats:
        return sign * (ours.resampled(counts) - theirs.resampled(counts))

    gain = sign * (values[0] - values[1])
    test, p = _mcnemar(ours, theirs) or ("permutation", _permuted(ours, theirs, gain, num_rows))
    return {
        "metric": ours.name, "ours": values[0], "theirs": values[1], "gain": gain,
        **_ends(_collected(difference, _counts(num_rows, ours.num_draws))), "test": test, "p": p,
    }  # fmt: skip


def _mcnemar(ours: Score, theirs: Score) -> tuple[str, float] | None:
    """Exact, where each row is right or wrong; else None."""
    from scipy.stats import binomtest

    rows = [_right(ours), _right(theirs)]
    if rows[0] is None or rows[1] is None:
        return None
    only_ours, only_theirs = (
        int((rows[0] & ~rows[1]).sum()), int((rows[1] & ~rows[0]).sum()),
    )  # fmt: skip
    told_apart = only_ours + only_theirs
    p = float(binomtest(only_ours, told_apart, 0.5).pvalue) if told_apart else 1.0
    return "McNemar, exact", p


def _right(score: Score) -> NDArray[np.bool_] | None:
    if not isinstance(score, SumScore) or score.name not in ("accuracy", "exact_match"):
        return None
    return score.columns_NK[:, 0] > 0.5


def _permuted(ours: Score, theirs: Score, gain: float, num_rows: int) -> float:
    """The share of random exchanges of the two models' answers that tell them as far apart."""
    sign = 1.0 if ours.more_is_better else -1.0

    def exchanged(given: NDArray[np.bool_]) -> Floats:
        return sign * (ours.swapped(theirs, given) - theirs.swapped(ours, given))

    draws = _collected(exchanged, _exchanges(num_rows, ours.num_draws))
    as_far = int((np.abs(draws) >= abs(gain) - 1e-12).sum())
    return (1 + as_far) / (1 + len(draws))


def _collected(value: Callable[[Any], Floats], parts: Iterator[Any]) -> Floats:
    draws = np.concatenate([value(part) for part in parts])
    known: Floats = draws[np.isfinite(draws)]
    return known


def _counts(num_rows: int, num_draws: int) -> Iterator[Floats]:
    """How often each row is drawn, a few resamples at a time."""
    random = np.random.default_rng(_SEED)
    for size in _sizes(num_rows, num_draws):
        drawn = random.integers(0, num_rows, (size, num_rows))
        drawn += np.arange(size)[:, None] * num_rows
        counted = np.bincount(drawn.ravel(), minlength=size * num_rows)
        yield counted.reshape(size, num_rows).astype(np.float64)


def _exchanges(num_rows: int, num_draws: int) -> Iterator[NDArray[np.bool_]]:
    random = np.random.default_rng(_SEED)
    for size in _sizes(num_rows, num_draws):
        yield random.random((size, num_rows), dtype=np.float32) < 0.5


def _sizes(num_rows: int, num_draws: int) -> Iterator[int]:
    left = min(num_draws, max(_LEAST, _MOST_DRAWN // num_rows))
    at_once = max(1, _PART // num_rows)
    while left > 0:
        yield min(left, at_once)
        left -= at_once


def _ends(draws: Floats) -> dict[str, float]:
    outside = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [outside, 1 - outside]) if len(draws) else (np.nan, np.nan)
    return {"low": float(low), "high": float(high)}
