"""Continuous callers during an alias swap, and the check of the answers they received.

An answer is dropped if its call failed. It is mixed if its numbers differ from those of the version
it names, or if an older version answered a call that was sent after the swap.
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
#: pause between two calls of a caller, because a training runs on the same cores
PAUSE_S = 0.3
#: in bfloat16, the other rows of a batch may change the last bits of an answer
TOLERANCE = 0.02
#: the answer of (task, version, text) in a call of its own
Reference = dict[tuple[str, int, str], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer of one call and when it was sent; `prediction` is None if the call failed."""

    task: str
    text: str
    sent_at: float
    prediction: Prediction | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapResult:
    """The counts of answers; `by_version` counts (version, digest) of the swapped task."""

    answers: int
    dropped: int
    mixed: int
    by_version: dict[tuple[int, str], int]

    @property
    def is_clean(self) -> bool:
        return self.answers > 0 and self.dropped == 0 and self.mixed == 0


class CallerLoop:
    """Several callers per task that send one text per call, with a short pause between calls."""

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
            asyncio.create_task(self._run_caller(task, first))
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

    def evaluate(self, task: str, reference: Reference, *, swapped_at: float) -> SwapResult:
        """Compares the answers with the references. `task` is the one whose alias was moved, at
        `swapped_at`, to its newest version.
        """
        newest = max(version for name, version, _ in reference if name == task)
        answered = [(a, a.prediction) for a in self._answers if a.prediction]
        mixed = sum(
            not _is_own(prediction, reference, answer)
            or (answer.task == task and answer.sent_at > swapped_at and prediction.version < newest)
            for answer, prediction in answered
        )
        swapped = [(p.version, p.digest) for a, p in answered if a.task == task]
        return SwapResult(
            answers=len(answered),
            dropped=len(self._answers) - len(answered),
            mixed=mixed,
            by_version=dict(Counter(swapped)),
        )

    async def _run_caller(self, task: str, number: int) -> None:
        while not self._stop.is_set():
            text = self._texts[number % len(self._texts)]
            number += CALLERS_PER_TASK
            self._answers.append(await self._call(task, text))
            await asyncio.sleep(PAUSE_S)

    async def _call(self, task: str, text: str) -> Answer:
        sent_at = self._clock()
        try:
            prediction = (await self._client.predict(task, text)).raise_for_errors()
        except AdapterdError:
            prediction = None
        return Answer(task=task, text=text, sent_at=sent_at, prediction=prediction)


async def predict_references(
    client: AsyncClient, versions: Sequence[tuple[str, int]], texts: Sequence[str]
) -> Reference:
    """The answer of every version to every text, each in a call of its own."""
    reference: Reference = {}
    for task, version in versions:
        for text in texts:
            prediction = await client.predict(f"{task}@{version}", text)
            reference[task, version, text] = _number(prediction)
    return reference


def _is_own(prediction: Prediction, reference: Reference, answer: Answer) -> bool:
    expected = reference.get((answer.task, prediction.version, answer.text))
    return expected is not None and abs(_number(prediction) - expected) <= TOLERANCE


def _number(prediction: Prediction) -> float:
    """One number that differs between versions: the value, or the first label's probability."""
    match prediction.outputs[0]:
        case Value(value=value):
            return value
        case Classification(scores=scores):
            return scores[min(scores)]
        case other:
            raise AssertionError(f"the demo trains no such head: {other}")
