"""What waits of one tenant, in the order in which it is due. Knows no other tenant, no engine."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from server.dispatch.batch_scheduler import Waiting, band

W = TypeVar("W", bound=Waiting)
Item = TypeVar("Item", bound=tuple[object, ...])


class _Call:
    __slots__ = ("num_waiting",)

    def __init__(self) -> None:
        self.num_waiting = 0


class _Place(NamedTuple, Generic[W]):
    due: float
    #: no two places have the same, so that entries are never compared
    number: int
    entry: W
    call: _Call


class TenantQueue(Generic[W]):
    """Interactive entries before those of later bands; within a band calls share the turns.

    Time is counted in tokens served to a call: with four calls waiting, the clock moves by one when
    four tokens of the tenant were taken. An entry is due when its call would be as far if calls
    were served a token each in turn (weighted fair queueing: Demers, Keshav, Shenker 1989). So a
    call that comes now is due now, before the rest of a large one, and no later call overtakes an
    entry for ever.

    Adding, taking and removing cost the logarithm of what waits; an entry that left is forgotten
    when the order comes to it, or with the others once they are most of it.
    """

    def __init__(self, name: str, weight: float, ageing_s: float) -> None:
        self.name, self.weight = name, weight
        #: what was taken of it, by weight; whoever got least is due first
        self.served = 0.0
        self.num_rows = self.num_tokens = 0
        self._ageing_s = ageing_s
        self._clock = 0.0
        self._num_calls = 0
        self._numbers = itertools.count()
        self._places: dict[W, _Place[W]] = {}
        #: a heap for each priority; places that are not in `_places` any more have left
        self._heaps: dict[int, list[_Place[W]]] = {}

    def __bool__(self) -> bool:
        return bool(self._places)

    def __contains__(self, entry: object) -> bool:
        return entry in self._places

    def __iter__(self) -> Iterator[W]:
        """In order of arrival."""
        return iter(self._places)

    def add(self, entries: Sequence[W]) -> None:
        """Adds the entries of one call, which keep their order."""
        call, due = _Call(), self._clock
        for entry in entries:
            self._put(entry, call, due)
            due += entry.cost

    def put_back(self, entry: W) -> None:
        """Adds an entry that has waited before; it is the next."""
        self._put(entry, _Call(), -math.inf)

    def remove(self, entry: W) -> None:
        place = self._places.pop(entry)
        self.num_rows -= entry.num_rows
        self.num_tokens -= entry.cost
        place.call.num_waiting -= 1
        self._num_calls -= not place.call.num_waiting
        heap = self._heaps[entry.priority]
        if len(heap) > 2 * len(self._places) + 16:
            heap[:] = [place for place in heap if self._waits(place)]
            heapq.heapify(heap)
        while heap and not self._waits(heap[0]):
            heapq.heappop(heap)

    def take(self, entry: W) -> None:
        """Removes an entry that goes to the engine."""
        self._clock = max(self._clock, self._places[entry].due) + entry.cost / self._num_calls
        self.remove(entry)

    def in_turn(self, now: float) -> Iterator[W]:
        """The entries in the order in which they are due, read as far as they are asked for."""
        walks = [filter(self._waits, ascending(heap)) for heap in self._heaps.values()]
        heads = [(place, walk) for walk in walks if (place := next(walk, None)) is not None]
        while heads:
            best = min(range(len(heads)), key=lambda index: self._rank(heads[index][0], now))
            place, walk = heads[best]
            yield place.entry
            if (following := next(walk, None)) is not None:
                heads[best] = following, walk
            else:
                del heads[best]

    def _put(self, entry: W, call: _Call, due: float) -> None:
        place = _Place(due, next(self._numbers), entry, call)
        self._places[entry] = place
        heapq.heappush(self._heaps.setdefault(entry.priority, []), place)
        self._num_calls += not call.num_waiting
        call.num_waiting += 1
        self.num_rows += entry.num_rows
        self.num_tokens += entry.cost

    def _waits(self, place: _Place[W]) -> bool:
        return self._places.get(place.entry) is place

    def _rank(self, place: _Place[W], now: float) -> tuple[int, float, int]:
        return band(place.entry, self._ageing_s, now), place.due, place.number


def ascending(heap: Sequence[Item]) -> Iterator[Item]:
    """The items of a heap from the least on. The heap stays as it is, and is read only as far as
    the items are asked for.
    """
    frontier = [(heap[0], 0)] if heap else []
    while frontier:
        item, index = heapq.heappop(frontier)
        yield item
        for child in (2 * index + 1, 2 * index + 2):
            if child < len(heap):
                heapq.heappush(frontier, (heap[child], child))
