"""Callers that never stop while `production` moves, and the verdict on what they were answered.

An answer is dropped if the call failed. It is mixed if its numbers are not those that the version
it names gives when it is asked by number, or if an older one answers a call made after the swap.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adapterd.async_client import AsyncClient
from adapterd.errors import AdapterdError
from adapterd.values import Classification, Prediction

NUM_CALLERS = 4
#: rows are computed in bfloat16 beside other neighbours each time, so their last bits may differ
TOLERANCE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one call got, and when it was sent; `prediction` is None if it failed."""

    text: str
    sent_at: float
    prediction: Prediction | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the callers saw. `by_version` counts answers per (version, digest)."""

    answers: int
    dropped: int
    mixed: int
    by_version: dict[tuple[int, str], int]

    @property
    def is_clean(self) -> bool:
        return self.answers > 0 and self.dropped == 0 and self.mixed == 0


class CallerLoop:
    """A few callers asking one task, one text a call, as fast as they are answered."""

    def __init__(
        self, client: AsyncClient, task: str, texts: Sequence[str], clock: Callable[[], float]
    ) -> None:
        self._client = client
        self._task = task
        self._texts = texts
        self._clock = clock
        self._stop = asyncio.Event()
        self._answers: list[Answer] = []
        self._callers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> CallerLoop:
        self._callers = [asyncio.create_task(self._call_on(n)) for n in range(NUM_CALLERS)]
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._callers)

    @property
    def num_answers(self) -> int:
        return len(self._answers)

    def verdict(self, alone: dict[tuple[int, str], float], *, swapped_at: float) -> Verdict:
        """`alone` holds what (version, text) scores by number; the newest is the swap's."""
        newest = max(version for version, _ in alone)
        answered = [(a, a.prediction) for a in self._answers if a.prediction]
        mixed = sum(
            not _is_own(prediction, alone, answer.text)
            or (answer.sent_at > swapped_at and prediction.version != newest)
            for answer, prediction in answered
        )
        return Verdict(
            answers=len(answered),
            dropped=len(self._answers) - len(answered),
            mixed=mixed,
            by_version=dict(Counter((p.version, p.digest) for _, p in answered)),
        )

    async def _call_on(self, number: int) -> None:
        while not self._stop.is_set():
            text = self._texts[number % len(self._texts)]
            number += NUM_CALLERS
            self._answers.append(await self._call(text))

    async def _call(self, text: str) -> Answer:
        sent_at = self._clock()
        try:
            prediction = (await self._client.predict(self._task, text)).raise_for_rows()
        except AdapterdError:
            prediction = None
        return Answer(text=text, sent_at=sent_at, prediction=prediction)


async def scores_alone(
    client: AsyncClient, task: str, versions: Sequence[int], texts: Sequence[str]
) -> dict[tuple[int, str], float]:
    """The score of each text's first label, per version, each text asked in a call of its own."""
    alone = {}
    for version in versions:
        for text in texts:
            prediction = await client.predict(f"{task}@{version}", text)
            alone[version, text] = _score(prediction)
    return alone


def _is_own(prediction: Prediction, alone: dict[tuple[int, str], float], text: str) -> bool:
    expected = alone.get((prediction.version, text))
    return expected is not None and abs(_score(prediction) - expected) <= TOLERANCE


def _score(prediction: Prediction) -> float:
    """The probability of the label that sorts first: one number that tells versions apart."""
    output = prediction.outputs[0]
    assert isinstance(output, Classification)
    return output.scores[min(output.scores)]
