"""A fake engine whose steps take as long as real ones would, by a clock that only they move."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field

from engine.port import Fill, Predict, Result, Step, Train
from engine.testing.fake_engine import FakeEngine
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
    """Answering takes a millisecond for a token, filling half of one, and training `factor` times
    what the plan thinks beside that.
    """

    clock: Clock = field(default_factory=Clock)
    factor: float = 1.0
    _filled: set[int] = field(default_factory=set)

    def submit(self, step: Step) -> Future[Result]:
        return Later(FakeEngine.submit(self, step), self.clock, self._seconds(step))

    def _seconds(self, step: Step) -> float:
        if not isinstance(step, Predict | Fill | Train):
            return 0.01
        tokens = sum(len(row.ids) for row in step.rows)
        if isinstance(step, Predict):
            return 1e-3 * tokens * (0.55 if step.keys else 1)
        if isinstance(step, Fill):
            fresh = set(step.keys) - self._filled
            self._filled |= fresh
            return 0.5e-3 * tokens if fresh else 0.0
        return 0.005 + 1e-3 * tokens * self.factor * 1.3
