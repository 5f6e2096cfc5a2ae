"""Callers that never stop while an alias moves, and the verdict on what they were answered.

An answer is dropped if the call failed. It is mixed if its numbers are not those that the version
it names gives when it is asked by number, or if an older one answers a call made after the swap.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adapterd.client.async_client import AsyncClient
from adapterd.errors import AdapterdError
from adapterd.values import Classification, Prediction, Value

CALLERS_PER_TASK = 3
#: between two calls of a caller: they share the cores with the training that goes on meanwhile
PAUSE_S = 0.04
#: rows are computed in bfloat16 beside other neighbours each time, so their last bits may differ
TOLERANCE = 0.02
#: what (task, version, text) answers when it is asked by number
Alone = dict[tuple[str, int, str], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one call got, and when it was sent; `prediction` is None if it failed."""

    task: str
    text: str
    sent_at: float
    prediction: Prediction | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the callers saw; `by_version` counts (version, digest) of the swapped task."""

    answers: int
    dropped: int
    mixed: int
    by_version: dict[tuple[int, str], int]

    @property
    def is_clean(self) -> bool:
        return self.answers > 0 and self.dropped == 0 and self.mixed == 0


class CallerLoop:
    """A few callers per task, one text a call, with a short pause between calls."""

    def __init__(
        self,
        client: AsyncClient,
        tasks: Sequence[str],
        texts: Sequence[str],
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._tasks = tasks
        self._texts = texts
        self._clock = clock
        self._stop = asyncio.Event()
        self._answers: list[Answer] = []
        self._callers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> CallerLoop:
        self._callers = [
            asyncio.create_task(self._call_on(task, first))
            for task in self._tasks
            for first in range(CALLERS_PER_TASK)
        ]
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._callers)

    @property
    def num_answers(self) -> int:
        return len(self._answers)

    def verdict(self, task: str, alone: Alone, *, swapped_at: float) -> Verdict:
        """`task` is the one whose alias moved, at `swapped_at`, to its newest version."""
        newest = max(version for name, version, _ in alone if name == task)
        answered = [(a, a.prediction) for a in self._answers if a.prediction]
        mixed = sum(
            not _is_own(prediction, alone, answer)
            or (answer.task == task and answer.sent_at > swapped_at and prediction.version < newest)
            for answer, prediction in answered
        )
        swapped = [(p.version, p.digest) for a, p in answered if a.task == task]
        return Verdict(
            answers=len(answered),
            dropped=len(self._answers) - len(answered),
            mixed=mixed,
            by_version=dict(Counter(swapped)),
        )

    async def _call_on(self, task: str, number: int) -> None:
        while not self._stop.is_set():
            text = self._texts[number % len(self._texts)]
            number += CALLERS_PER_TASK
            self._answers.append(await self._call(task, text))
            await asyncio.sleep(PAUSE_S)

    async def _call(self, task: str, text: str) -> Answer:
        sent_at = self._clock()
        try:
            prediction = (await self._client.predict(task, text)).raise_for_rows()
        except AdapterdError:
            prediction = None
        return Answer(task=task, text=text, sent_at=sent_at, prediction=prediction)


async def ask_alone(
    client: AsyncClient, versions: Sequence[tuple[str, int]], texts: Sequence[str]
) -> Alone:
    """What each (task, version) says of each text, asked by number in a call of its own."""
    alone: Alone = {}
    for task, version in versions:
        for text in texts:
            prediction = await client.predict(f"{task}@{version}", text)
            alone[task, version, text] = _number(prediction)
    return alone


def _is_own(prediction: Prediction, alone: Alone, answer: Answer) -> bool:
    expected = alone.get((answer.task, prediction.version, answer.text))
    return expected is not None and abs(_number(prediction) - expected) <= TOLERANCE


def _number(prediction: Prediction) -> float:
    """One number that tells versions apart: a value, or the first label's probability."""
    match prediction.outputs[0]:
        case Value(value=value):
            return value
        case Classification(scores=scores):
            return scores[min(scores)]
        case other:
            raise AssertionError(f"the demonstration trains no such head: {other}")
