"""A metric that can be computed on resampled rows: as a function of sums over rows, so that a
thousand resamples are one matrix product, or anew for each resample where it is no such function.

Axes: B resamples, N rows, K columns to sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SumScore:
    """A metric of one model's answers that is a function of column sums."""

    name: str
    columns_NK: Floats
    value: Callable[[Floats], Floats]
    more_is_better: bool = True
    #: how many resamples it is cheap enough for
    num_draws: int = 1000

    def resample(self, counts_BN: Floats) -> Floats:
        """[B]: its value where row n occurs counts[b, n] times; NaN where it has none."""
        return self._evaluate(counts_BN @ self.columns_NK)

    def swap(self, other: Score, is_swapped_BN: NDArray[np.bool_]) -> Floats:
        """[B]: its value where the swapped rows are answered by the other model."""
        assert isinstance(other, SumScore)
        changes_NK = other.columns_NK - self.columns_NK
        return self._evaluate(
            self.columns_NK.sum(0) + is_swapped_BN.astype(np.float64) @ changes_NK
        )

    def _evaluate(self, sums_BK: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.value(sums_BK)


@dataclass(frozen=True, slots=True, kw_only=True)
class RankScore:
    """A metric of order, which is no function of sums."""

    name: str
    truth_N: Floats
    guesses_N: Floats
    value: Callable[[Floats, Floats], float | None]
    more_is_better: bool = True
    num_draws: int = 200

    def resample(self, counts_BN: Floats) -> Floats:
        rows = [np.repeat(np.arange(len(self.truth_N)), each.astype(int)) for each in counts_BN]
        return np.array([self._evaluate(self.truth_N[row], self.guesses_N[row]) for row in rows])

    def swap(self, other: Score, is_swapped_BN: NDArray[np.bool_]) -> Floats:
        assert isinstance(other, RankScore)
        mixed = [np.where(row, other.guesses_N, self.guesses_N) for row in is_swapped_BN]
        return np.array([self._evaluate(self.truth_N, guesses) for guesses in mixed])

    def _evaluate(self, truth: Floats, guesses: Floats) -> float:
        value = self.value(truth, guesses)
        return np.nan if value is None else value


Score = SumScore | RankScore
