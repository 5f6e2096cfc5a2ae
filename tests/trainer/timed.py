"""A fake engine whose steps take as long as real ones would, by a clock that only they move."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field

from engine.port import Predict, Result, Step, Train
from engine.testing import FakeEngine
from tests.trainer.build import Clock


class Later(Future[Result]):
    """Its time passes when it is waited for, as behind a port that answers from another process."""

    def __init__(self, done: Future[Result], clock: Clock, seconds: float) -> None:
        super().__init__()
        self._done, self._clock, self._left_s = done, clock, seconds

    def result(self, timeout: float | None = None) -> Result:
        self._clock.now, self._left_s = self._clock.now + self._left_s, 0.0
        return self._done.result(timeout)


@dataclass(slots=True)
class TimedEngine(FakeEngine):
    """The first time a slot sees a row it computes the layers below as well. `factor` is how much
    slower training is than the plan thinks.
    """

    clock: Clock = field(default_factory=Clock)
    factor: float = 1.0
    _seen: set[tuple[int, int]] = field(default_factory=set)

    def submit(self, step: Step) -> Future[Result]:
        return Later(FakeEngine.submit(self, step), self.clock, self._seconds(step))

    def _seconds(self, step: Step) -> float:
        if isinstance(step, Predict):
            return 1e-3 * sum(len(row.ids) for row in step.rows)
        if not isinstance(step, Train):
            return 0.01
        keys = {(step.slot, key) for key in step.keys}
        fresh = len(keys - self._seen) / len(keys)
        self._seen |= keys
        tokens = sum(len(row.ids) for row in step.rows)
        return 0.005 + 1e-3 * tokens * self.factor * (1.5 + 0.7 * fresh)
