"""What waits of all tenants, in the order in which it is due. Knows no engine and no limits."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from server.dispatch.batch_scheduler import Waiting
from server.dispatch.tenant_queue import TenantQueue, ascending
from server.dispatch.turns import Turns

W = TypeVar("W", bound=Waiting)
_DEFAULT_WEIGHT = 1.0


class FairQueue(Generic[W]):
    """The tenant that got least for its weight is due first, so that tenants that wait all the time
    get tokens in proportion to their weights, whatever the size of their rows and calls.

    These are the shares of deficit round robin (Shreedhar, Varghese 1995), counted as in the
    virtual token counter (Sheng et al. 2024): no quantum is to be chosen, and who comes back after
    a pause is due next instead of one round later. A pause earns nothing: who comes back starts
    with what the least served of the others got.

    `in_turn` changes nothing; `take` counts what went to the engine. Both cost the logarithm of the
    number of tenants that wait.
    """

    def __init__(
        self, *, weights: Mapping[str, float], base_bytes: int, ageing_s: float = 1.0
    ) -> None:
        """`base_bytes` is what the weights of the base take: an adapter's share of them is its
        share of the products that a token needs.
        """
        self._weights, self._base_bytes, self._ageing_s = weights, base_bytes, ageing_s
        self._tenants: dict[str, TenantQueue[W]] = {}
        self._numbers = itertools.count()
        #: a heap; what a tenant got since it was put there is not in its key yet
        self._order: list[tuple[float, int, TenantQueue[W]]] = []
        #: entries that were taken before
        self._charged = set[W]()
        #: what those had got whose turn came last; who has less was passed over
        self._reached = 0.0
        self.num_rows = self.num_tokens = 0
        #: of the tenants that wait
        self._sum_of_weights = 0.0

    def __bool__(self) -> bool:
        return bool(self.num_rows)

    def __contains__(self, entry: W) -> bool:
        queue = self._tenants.get(entry.tenant)
        return queue is not None and entry in queue

    def __iter__(self) -> Iterator[W]:
        for queue in self.waiting:
            yield from queue

    @property
    def waiting(self) -> Iterable[TenantQueue[W]]:
        """Of each tenant that waits."""
        return [queue for queue in self._tenants.values() if queue]

    def of(self, tenant: str) -> TenantQueue[W] | None:
        return self._tenants.get(tenant)

    def weight(self, tenant: str) -> float:
        return self._weights.get(tenant, _DEFAULT_WEIGHT)

    def share(self, tenant: str) -> float:
        """The share of a tenant that waits in what is served now."""
        return self.weight(tenant) / self._sum_of_weights

    def add(self, entries: Sequence[W]) -> None:
        """Adds the entries of one call, which are all of one tenant."""
        self._wait(entries[0].tenant).add(entries)
        self._count(entries, 1)

    def put_back(self, entry: W) -> None:
        """Adds an entry that was taken before; it is its tenant's next, not charged again."""
        self._charged.add(entry)
        self._wait(entry.tenant).put_back(entry)
        self._count([entry], 1)

    def remove(self, entry: W) -> None:
        queue = self._tenants[entry.tenant]
        queue.remove(entry)
        self._charged.discard(entry)
        self._forget_weight(queue)
        self._count([entry], -1)

    def take(self, entries: Sequence[W]) -> None:
        """Removes entries that go to the engine."""
        begun = [self._tenants[entry.tenant].served for entry in entries]
        self._reached = max(self._reached, *begun) if begun else self._reached
        for entry in entries:
            queue = self._tenants[entry.tenant]
            queue.take(entry)
            queue.served += self._cost(entry, queue)
            self._charged.discard(entry)
            self._forget_weight(queue)
        self._count(entries, -1)
        self._settle()

    def charge(self, tenant: str, num_tokens: int) -> None:
        """Counts tokens that the engine computed for a tenant beyond those of its entries."""
        if self._order:
            queue = self._open(tenant)
            queue.served += num_tokens / queue.weight

    def in_turn(self, now: float) -> Turns[W]:
        """The entries in the order in which they are due, read as far as they are asked for."""
        return Turns(ascending(self._order), self._cost, now)

    def _cost(self, entry: W, queue: TenantQueue[W]) -> float:
        if entry in self._charged:
            return 0.0
        share = min(1.0, entry.num_bytes / self._base_bytes)
        return entry.cost * (1 + share) / queue.weight

    def _wait(self, tenant: str) -> TenantQueue[W]:
        """The tenant's queue, of which something waits from now on."""
        queue = self._open(tenant)
        if not queue:
            self._sum_of_weights += queue.weight
        return queue

    def _forget_weight(self, queue: TenantQueue[W]) -> None:
        if not queue:
            self._sum_of_weights -= queue.weight

    def _open(self, tenant: str) -> TenantQueue[W]:
        self._settle()
        queue = self._tenants.get(tenant)
        if queue is None:
            queue = TenantQueue(tenant, self.weight(tenant), self._ageing_s)
            queue.served = self._least
            self._tenants[tenant] = queue
            heapq.heappush(self._order, (queue.served, next(self._numbers), queue))
        elif not queue:
            queue.served = max(queue.served, self._least)
        return queue

    @property
    def _least(self) -> float:
        return self._order[0][0] if self._order else 0.0

    def _settle(self) -> None:
        """Makes the first of the order the tenant that got least of those that wait. What another
        got more is remembered until the others got as much, or nobody waits. Who was passed over
        saves no turns: it is due first, but not until it has what the others got meanwhile.
        """
        while self._order:
            served, number, queue = self._order[0]
            queue.served = max(queue.served, self._reached)
            if served != queue.served:
                heapq.heapreplace(self._order, (queue.served, number, queue))
            elif not queue:
                heapq.heappop(self._order)
                del self._tenants[queue.name]
            else:
                return
        self._reached = 0.0

    def _count(self, entries: Sequence[W], sign: int) -> None:
        self.num_rows += sign * sum(entry.num_rows for entry in entries)
        self.num_tokens += sign * sum(entry.cost for entry in entries)
        if not self.num_rows:
            self._sum_of_weights = 0.0  # so that errors of rounding do not add up
