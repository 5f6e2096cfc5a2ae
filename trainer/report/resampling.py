"""How far a metric could vary by chance: bootstrap intervals, and paired tests of two models on the
same rows. Seeded, so that the same answers give the same report.

SciPy's `bootstrap` and `permutation_test` compute the same. Ours is its own because a score is a
function of sums over rows (`score.py`): a thousand resamples are one matrix product, where SciPy
calls the metric once a resample, or needs an axis of rows that F1 and MCC do not have. Tests hold
the two against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from trainer.report.score import Floats, Score, SumScore

CONFIDENCE = 0.95
#: fewer resamples of very many rows, whose intervals are narrow anyway
_MOST_NUMBERS = 40_000_000
_LEAST_RESAMPLES = 200
#: so many random numbers at a time, to bound the memory
_NUMBERS_AT_ONCE = 2_000_000
_SEED = 20_231


class Ends(TypedDict):
    """A percentile bootstrap interval, in the unit of the metric."""

    low: float
    high: float


class Interval(Ends):
    """A metric of the test rows, and its interval."""

    value: float


class PairedTest(Ends):
    """Two models on the same rows; `low` and `high` are the interval of the gain."""

    metric: str
    #: the metric of the version
    ours: float
    #: the metric of the other model
    theirs: float
    #: the difference of the two, above zero where the version is better
    gain: float
    #: "McNemar, exact" where each row is right or wrong, else "permutation"
    test: str
    #: two-sided p value of the hypothesis that the two models are equally good
    p: float


def compute_intervals(scores: Sequence[Score], num_rows: int) -> dict[str, Interval]:
    """By the name of the metric; a metric without a value is left out."""
    intervals: dict[str, Interval] = {}
    for score in scores:
        (value,) = score.resample(np.ones((1, num_rows)))
        samples = _sample(score.resample, _draw_counts(num_rows, score.num_draws))
        if np.isfinite(value) and len(samples):
            intervals[score.name] = {"value": float(value), **_find_ends(samples)}
    return intervals


def compare_scores(ours: Score, theirs: Score, num_rows: int) -> PairedTest | None:
    """None where one of the two has no value."""
    sign = 1.0 if ours.more_is_better else -1.0
    once = np.ones((1, num_rows))
    values = [float(score.resample(once)[0]) for score in (ours, theirs)]
    if not np.isfinite(values).all():
        return None

    def gains(counts: Floats) -> Floats:
        return sign * (ours.resample(counts) - theirs.resample(counts))

    gain = sign * (values[0] - values[1])
    test, p = _test_mcnemar(ours, theirs) or (
        "permutation",
        _test_permutation(ours, theirs, gain, num_rows),
    )
    return {
        "metric": ours.name,
        "ours": values[0],
        "theirs": values[1],
        "gain": gain,
        **_find_ends(_sample(gains, _draw_counts(num_rows, ours.num_draws))),
        "test": test,
        "p": p,
    }


def _test_mcnemar(ours: Score, theirs: Score) -> tuple[str, float] | None:
    """The exact test, where each row is right or wrong; else None."""
    from scipy.stats import binomtest

    right, right_too = _find_right_rows(ours), _find_right_rows(theirs)
    if right is None or right_too is None:
        return None
    only_ours, only_theirs = int((right & ~right_too).sum()), int((right_too & ~right).sum())
    discordant = only_ours + only_theirs
    p = float(binomtest(only_ours, discordant, 0.5).pvalue) if discordant else 1.0
    return "McNemar, exact", p


def _find_right_rows(score: Score) -> NDArray[np.bool_] | None:
    if not isinstance(score, SumScore) or score.name not in ("accuracy", "exact_match"):
        return None
    return score.columns_NK[:, 0] > 0.5


def _test_permutation(ours: Score, theirs: Score, gain: float, num_rows: int) -> float:
    """The p value: the share of random swaps of the two models' answers with as large a gain."""
    sign = 1.0 if ours.more_is_better else -1.0

    def gains(is_swapped: NDArray[np.bool_]) -> Floats:
        return sign * (ours.swap(theirs, is_swapped) - theirs.swap(ours, is_swapped))

    samples = _sample(gains, _draw_swaps(num_rows, ours.num_draws))
    num_as_large = int((np.abs(samples) >= abs(gain) - 1e-12).sum())
    return (1 + num_as_large) / (1 + len(samples))


def _sample(value: Callable[[Any], Floats], parts: Iterator[Any]) -> Floats:
    """The values of all parts, without those that are none."""
    samples = np.concatenate([value(part) for part in parts])
    finite: Floats = samples[np.isfinite(samples)]
    return finite


def _draw_counts(num_rows: int, num_draws: int) -> Iterator[Floats]:
    """How often each row is drawn, a few resamples at a time."""
    random = np.random.default_rng(_SEED)
    for size in _split_draws(num_rows, num_draws):
        rows = random.integers(0, num_rows, (size, num_rows))
        rows += np.arange(size)[:, None] * num_rows
        counts = np.bincount(rows.ravel(), minlength=size * num_rows)
        yield counts.reshape(size, num_rows).astype(np.float64)


def _draw_swaps(num_rows: int, num_draws: int) -> Iterator[NDArray[np.bool_]]:
    random = np.random.default_rng(_SEED)
    for size in _split_draws(num_rows, num_draws):
        yield random.random((size, num_rows), dtype=np.float32) < 0.5


def _split_draws(num_rows: int, num_draws: int) -> Iterator[int]:
    left = min(num_draws, max(_LEAST_RESAMPLES, _MOST_NUMBERS // num_rows))
    at_once = max(1, _NUMBERS_AT_ONCE // num_rows)
    while left > 0:
        yield min(left, at_once)
        left -= at_once


def _find_ends(samples: Floats) -> Ends:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(samples, [tail, 1 - tail]) if len(samples) else (np.nan, np.nan)
    return {"low": float(low), "high": float(high)}
