"""How far a job's runs are, for whoever looks on: every step and evaluation moves the bar and may
end the run. Knows the loop's watcher and the pace; no engine and no store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from trainer.course import Course
from trainer.loop_state import LoopState
from trainer.pace import Pace


@dataclass(slots=True, kw_only=True)
class Progress:
    """A `Watcher` over all runs of a job. `tell` hears (share done, seconds left) and may raise."""

    pace: Pace
    tell: Callable[[float, float | None], None]
    _steps_left: int = field(init=False, default=0)
    _evaluations_left: int = field(init=False, default=0)

    @contextmanager
    def run(self, course: Course, begun: LoopState | None = None) -> Iterator[None]:
        """What was done before, and what a run leaves undone because it stopped early, nobody waits
        for.
        """
        self._steps_left, self._evaluations_left = course.num_steps, course.num_evaluations
        if begun is not None:
            num_judged = len(begun.epochs) if course.dev else 0
            self.pace.forgo(begun.step, num_judged)
            self._steps_left -= begun.step
            self._evaluations_left -= num_judged
        yield
        self.pace.forgo(self._steps_left, self._evaluations_left)

    def waiting(self) -> None:
        self.tell(self.pace.share, self.pace.eta_s)

    def filled(self) -> None:
        self.pace.restart()

    def stepped(self) -> None:
        self._steps_left -= 1
        self.pace.stepped()
        self.waiting()

    def judged(self, state: LoopState) -> None:
        if state.epochs[-1].dev:
            self._evaluations_left -= 1
            self.pace.evaluated()
        self.waiting()
