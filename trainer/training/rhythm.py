"""When a checkpoint is worth its while. Pure; clock passed in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: writing takes at most one part in so many of the time
_SHARE = 20


class CheckpointInterval:
    """Every so many seconds, and at every epoch's end unless epochs are so short that writing would
    take more than its share.
    """

    def __init__(self, every_s: float, clock: Callable[[], float]) -> None:
        self._every_s = every_s
        self._clock = clock
        self._last = clock()
        self._cost_s = 0.0

    @property
    def due(self) -> bool:
        return self._clock() - self._last >= max(self._every_s, self._least_s)

    @property
    def affordable(self) -> bool:
        return self._clock() - self._last >= self._least_s

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Measures what it costs, and counts from its end."""
        begun = self._clock()
        try:
            yield
        finally:
            self._last = self._clock()
            self._cost_s = self._last - begun

    @property
    def _least_s(self) -> float:
        return self._cost_s * _SHARE
