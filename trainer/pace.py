"""How long training still takes: measured seconds per step and per evaluation over what remains.
Pure; clock passed in.
"""

from __future__ import annotations

from collections.abc import Callable

_MEMORY = 0.9


class Pace:
    """Counts steps and evaluations; the rates are moving means, so a slow start does not spoil the
    estimate.
    """

    def __init__(self, num_steps: int, num_evaluations: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = clock()
        self._num_steps = num_steps
        self._steps_left = num_steps
        self._evaluations_left = num_evaluations
        self._step_s: float | None = None
        self._evaluation_s: float | None = None

    def restart(self) -> None:
        """What was done until now is neither step nor evaluation."""
        self._lap()

    def stepped(self) -> None:
        self._steps_left -= 1
        self._step_s = _moved(self._step_s, self._lap())

    def evaluated(self) -> None:
        self._evaluations_left -= 1
        self._evaluation_s = _moved(self._evaluation_s, self._lap())

    def forgo(self, num_steps: int, num_evaluations: int) -> None:
        """What was counted on and will not be done."""
        self._steps_left -= num_steps
        self._evaluations_left -= num_evaluations

    @property
    def share(self) -> float:
        return 1 - self._steps_left / self._num_steps

    @property
    def eta_s(self) -> float | None:
        """None until something was measured."""
        if self._step_s is None:
            return None
        return self._steps_left * self._step_s + self._evaluations_left * (
            self._evaluation_s or 0.0
        )

    def _lap(self) -> float:
        before, self._last = self._last, self._clock()
        return self._last - before


def _moved(mean: float | None, value: float) -> float:
    return value if mean is None else _MEMORY * mean + (1 - _MEMORY) * value
