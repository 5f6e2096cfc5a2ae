"""How many tokens one forward may have, from the speed that was measured. Knows no queue."""

from __future__ import annotations

import time
from collections.abc import Callable

#: below this a forward takes as long for fewer tokens, or nearly
_LEAST_TOKENS = 128
#: assumed until a forward was measured
_FIRST_TOKENS_PER_S = 10_000.0
#: how much a full forward moves the average
_SHARE_OF_NEWEST = 0.2
#: a forward counts as so many times faster or slower than the average at most
_MOST_TIMES_AVERAGE = 1.5
#: the first average is a guess, which so many forwards correct without that bound
_NUM_FIRST = 10
#: a tenant whose calls have come alone for so long waits for nobody else's rows
_ALONE_AFTER_S = 2.0
#: otherwise forwards take this part of the target: each caller waits for rows of the others, though
#: larger forwards compute more in a second
_PART_WHEN_SHARED = 0.4


class TokenBudget:
    """As many tokens as the engine computes in `target_s`, at most `most` and not uselessly few.

    A row waits for the forward that runs and, where one was sent ahead, for that one, so `target_s`
    bounds what the others' rows cost it on any base and machine. Without a target it is `most`.
    While calls of several tenants come, forwards are shorter.
    """

    def __init__(
        self,
        most: int,
        target_s: float | None,
        tokens_per_s: float = _FIRST_TOKENS_PER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most, self._target_s, self._clock = most, target_s, clock
        self._last_tenant: str | None = None
        self._shared_until = 0.0
        #: an exponential average over forwards
        self.tokens_per_s = tokens_per_s
        self._num_observed = 0

    @property
    def num_tokens(self) -> int:
        if self._target_s is None:
            return self.most
        is_shared = self._clock() < self._shared_until
        target_s = self._target_s * (_PART_WHEN_SHARED if is_shared else 1.0)
        return int(min(self.most, max(_LEAST_TOKENS, target_s * self.tokens_per_s)))

    def note_call(self, tenant: str) -> None:
        if self._last_tenant not in (None, tenant):
            self._shared_until = self._clock() + _ALONE_AFTER_S
        self._last_tenant = tenant

    def observe(self, num_tokens: int, seconds: float) -> None:
        """A small forward, which computes fewer tokens in a second, says little of a full one and
        counts little. One that was interrupted, or measured wrongly, cannot distort the average.
        """
        if seconds <= 0:
            return
        share = _SHARE_OF_NEWEST * min(1.0, num_tokens / self.num_tokens)
        average, speed = self.tokens_per_s, num_tokens / seconds
        if self._num_observed >= _NUM_FIRST:
            least, most = average / _MOST_TIMES_AVERAGE, average * _MOST_TIMES_AVERAGE
            speed = min(max(speed, least), most)
        self._num_observed += 1
        self.tokens_per_s += share * (speed - average)
