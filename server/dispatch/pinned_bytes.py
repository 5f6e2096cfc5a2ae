"""The host memory that calls keep from being unloaded: bounded, and shared among tenants."""

from __future__ import annotations

from collections import Counter

from engine.errors import OutOfMemory
from server.errors import Overloaded

#: a tenant may use so many times what is free, as in the queue of calls: one tenant alone uses
#: most of it, and others still find room
_TIMES_FREE = 8


class PinnedBytes:
    """By tenant, the bytes of the adapters that its calls use or wait for."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._of_tenant: Counter[str] = Counter()
        self._total = 0

    @property
    def total(self) -> int:
        return self._total

    def check(self, tenant: str, num_bytes: int) -> None:
        """Raises OutOfMemory if all calls leave no room for another adapter, Overloaded if only the
        tenant uses too much. Where nobody uses anything, an adapter of any size may be tried.
        """
        free = self._budget - self._total - num_bytes
        if self._total and free < 0:
            raise OutOfMemory(
                f"the adapter takes {num_bytes} bytes; running and waiting calls use "
                f"{self._total} of the budget of {self._budget}"
            )
        mine = self._of_tenant[tenant]
        if mine and mine + num_bytes > _TIMES_FREE * free:
            raise Overloaded(
                f"Your running and waiting calls use adapters of {mine} bytes; with {num_bytes} "
                f"more they would leave {free} of {self._budget} free, and a tenant may use at "
                f"most {_TIMES_FREE} times what is free. Try again when some are answered."
            )

    def add(self, tenant: str, num_bytes: int) -> None:
        """Takes a negative number for what is no longer used."""
        self._total += num_bytes
        self._of_tenant[tenant] += num_bytes
        if not self._of_tenant[tenant]:
            del self._of_tenant[tenant]
