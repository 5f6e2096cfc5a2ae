"""One walk through what waits of all tenants, in the order of turns. Changes nothing in a queue."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

from server.dispatch.batch_scheduler import Waiting
from server.dispatch.tenant_queue import TenantQueue

W = TypeVar("W", bound=Waiting)


class _Turn(NamedTuple, Generic[W]):
    """What a tenant got once its entries so far are taken, and its further entries."""

    served: float
    #: no two turns have the same, so that queues are never compared
    number: int
    queue: TenantQueue[W]
    entries: Iterator[W]


class Turns(Generic[W]):
    """The entries in the order in which they are due if each is taken that is not passed over."""

    def __init__(
        self,
        order: Iterator[tuple[float, int, TenantQueue[W]]],
        cost: Callable[[W, TenantQueue[W]], float],
        now: float,
    ) -> None:
        self._order, self._cost, self._now = order, cost, now
        self._following = next(order, None)
        #: a heap of the tenants that were reached
        self._turns: list[_Turn[W]] = []
        self._is_passed = self._is_left_out = False

    def __iter__(self) -> Iterator[W]:
        while self._turns or self._following is not None:
            self._reach_tenants()
            turn = self._turns[0]
            entry = next(turn.entries, None)
            if entry is None:
                heapq.heappop(self._turns)
                continue
            self._is_passed = self._is_left_out = False
            yield entry
            if self._is_left_out:
                heapq.heappop(self._turns)
            elif not self._is_passed:
                served = turn.served + self._cost(entry, turn.queue)
                heapq.heapreplace(self._turns, turn._replace(served=served))

    def pass_over(self, *, leave_out: bool = False) -> None:
        """Of the latest entry: it is not taken, so it moves no turn. `leave_out`: nor is any later
        one of its tenant.
        """
        self._is_passed, self._is_left_out = True, leave_out

    def _reach_tenants(self) -> None:
        while self._following is not None and (
            not self._turns or self._following[:2] < self._turns[0][:2]
        ):
            _, number, queue = self._following
            turn = _Turn(queue.served, number, queue, queue.in_turn(self._now))
            heapq.heappush(self._turns, turn)
            self._following = next(self._order, None)
