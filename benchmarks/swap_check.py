"""Whether every answer during swaps is that of one version: the version that it names, and one that
was in production while the call ran. Knows answers and times, no server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

#: the scores of a call's texts, in order
Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a call of `texts` (the number of a fixed choice) got from `task`, and when."""

    task: str
    texts: int
    version: int
    digest: str
    scores: Scores
    sent_at: float
    received_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """A promotion, from its call to its answer."""

    task: str
    version: int
    sent_at: float
    received_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """`mixed`: of other numbers or another digest than the version that the answer names has;
    `stale`: of a version that was not in production during the call.
    """

    mixed: int
    stale: int


class VersionScores:
    """What each version answers alone, and how far apart two versions of a task are."""

    def __init__(
        self, scores: Mapping[tuple[str, int, int], Scores], digests: Mapping[tuple[str, int], str]
    ) -> None:
        self._scores, self._digests = scores, digests
        #: between any two versions of a task, on any choice of texts
        self.separation = min(
            _distance(scores[one], scores[other])
            for one, other in combinations(scores, 2)
            if one[0] == other[0] and one[2] == other[2]
        )

    def check(self, answers: Sequence[Answer], swaps: Sequence[Swap]) -> Faults:
        return Faults(
            mixed=sum(not self._is_own(answer) for answer in answers),
            stale=sum(answer.version not in _possible(answer, swaps) for answer in answers),
        )

    def measure_noise(self, answers: Sequence[Answer]) -> float:
        """The largest distance of an answer to what its version answers alone."""
        return max(self._deviate(answer) for answer in answers)

    def _is_own(self, answer: Answer) -> bool:
        if self._digests[answer.task, answer.version] != answer.digest:
            return False
        return self._deviate(answer) < self.separation / 2

    def _deviate(self, answer: Answer) -> float:
        alone = self._scores[answer.task, answer.version, answer.texts]
        return _distance(answer.scores, alone)


def _possible(answer: Answer, swaps: Sequence[Swap]) -> set[int]:
    """The version that was promoted last before the call, and those promoted while it ran."""
    of_task = [swap for swap in swaps if swap.task == answer.task]
    before = [swap for swap in of_task if swap.received_at <= answer.sent_at]
    during = [
        swap
        for swap in of_task
        if swap.received_at > answer.sent_at and swap.sent_at <= answer.received_at
    ]
    return {swap.version for swap in (*before[-1:], *during)}


def _distance(one: Scores, other: Scores) -> float:
    return float(np.abs(one - other).max())
