"""How fast tokens leave a queue of texts. Knows no queue and no engine."""

from __future__ import annotations

import math

#: what left longer ago than this counts little
_MEMORY_S = 10.0
#: assumed until it was measured
_FIRST_TOKENS_PER_S = 1000.0
#: for a queue that does not move
_LEAST_TOKENS_PER_S = 1.0


class LeavingRate:
    """An average over time, of the times only in which texts waited to start: a text starts when
    another one ends, so how fast prompts are computed says nothing of how long it waits.
    """

    def __init__(self) -> None:
        self.tokens_per_s = _FIRST_TOKENS_PER_S
        self._waiting_since: float | None = None

    def observe(self, num_tokens: int, now: float, *, others_wait: bool) -> None:
        """Prompts of so many tokens left the queue now. `others_wait`: not all did."""
        since, self._waiting_since = self._waiting_since, now if others_wait else None
        if since is None or now <= since:
            return
        share = 1 - math.exp((since - now) / _MEMORY_S)
        speed = self.tokens_per_s + share * (num_tokens / (now - since) - self.tokens_per_s)
        self.tokens_per_s = max(_LEAST_TOKENS_PER_S, speed)
