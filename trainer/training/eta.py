"""Estimates the remaining time of a job: measured seconds per unit of work times the work that is
left. Pure; the clock is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

#: how much of what was measured before counts beside the newest; a slow start is soon forgotten
_MEMORY = 0.95


class EtaEstimator:
    """Work comes in sorts (an epoch whose prefix is known is another than one whose is not), each
    with a rate of its own. A sort that was not measured yet goes at the rate of all the others.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = self._last = clock()
        #: by sort, (units, seconds), the older the less they count
        self._measured: dict[str, tuple[float, float]] = {}
        self._left: dict[str, float] = {}
        self._fixed_s = 0.0
        self._share = 0.0

    def expect(self, work: Mapping[str, float], fixed_s: float = 0.0) -> None:
        """What is left from now on, by sort, and seconds that no unit says."""
        self._left, self._fixed_s = dict(work), fixed_s

    def did(self, sort: str, units: float) -> None:
        """All the time since the last call went into this."""
        seconds = self._lap()
        if units:
            self._note(sort, units, seconds)
        self._left[sort] = max(0.0, self._left.get(sort, 0.0) - units)

    def restart(self) -> None:
        """What was done since the last call is no work that is counted."""
        self._lap()

    @property
    def eta_s(self) -> float | None:
        """None until something was measured."""
        usual = self._usual
        if usual is None:
            return None
        return self._fixed_s + sum(
            units * self._rate(sort, usual) for sort, units in self._left.items()
        )

    @property
    def share(self) -> float:
        """Of the whole time; it never falls, whatever turns out to take longer."""
        eta_s, spent_s = self.eta_s, self._last - self._began
        if eta_s is not None and spent_s > 0:
            self._share = max(self._share, spent_s / (spent_s + eta_s))
        return self._share

    @property
    def _usual(self) -> float | None:
        units = sum(units for units, _ in self._measured.values())
        return sum(seconds for _, seconds in self._measured.values()) / units if units else None

    def _rate(self, sort: str, usual: float) -> float:
        units, seconds = self._measured.get(sort, (0.0, 0.0))
        return seconds / units if units else usual

    def _note(self, sort: str, units: float, seconds: float) -> None:
        before, before_s = self._measured.get(sort, (0.0, 0.0))
        self._measured[sort] = before * _MEMORY + units, before_s * _MEMORY + seconds

    def _lap(self) -> float:
        before, self._last = self._last, self._clock()
        return self._last - before
