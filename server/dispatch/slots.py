"""Assigns digests to slots: placing, leasing, evicting. Knows no engine and no tensors."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass


class SlotsExhausted(Exception):
    """More adapters need a slot than running generations leave free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The slot of each digest, which digests are new, and how many were evicted for them."""

    slots: dict[str, int]
    placed: list[str]
    num_swapped: int


@dataclass(slots=True)
class _Slot:
    number: int
    num_bytes: int
    leases: int = 0


class SlotTable:
    """Slots 1..num_slots under a byte budget; slot 0 is the bare base and is never listed.

    It says what the slots hold once every step sent so far has run. The engine runs the steps of
    calls in the order in which they are sent, and a step names the digest of each slot that its
    rows use; the engine places what differs before it computes. So a batch leases nothing: a later
    step may take the slots of one that still runs or waits. Only what a later step uses *without*
    naming it must stay: the slots of running generations, which are leased from the step that
    starts them to their end.

    The least recently used digest without a lease is evicted first. Nothing here takes longer when
    there are more slots.
    """

    def __init__(self, num_slots: int, num_bytes: int) -> None:
        self._num_slots = num_slots
        self._budget = num_bytes
        #: without a lease, least recently used first
        self._idle: OrderedDict[str, _Slot] = OrderedDict()
        self._leased: dict[str, _Slot] = {}
        #: a heap of the numbers below `_next` that are free
        self._free: list[int] = []
        self._next = 1
        self._num_bytes = self._leased_bytes = 0

    @property
    def placed(self) -> dict[int, str]:
        """The digest in each slot, leased ones last."""
        return {
            slot.number: digest
            for slots in (self._idle, self._leased)
            for digest, slot in slots.items()
        }

    @property
    def num_placed(self) -> int:
        return len(self._idle) + len(self._leased)

    @property
    def num_bytes(self) -> int:
        return self._num_bytes

    @property
    def num_leases(self) -> int:
        return sum(slot.leases for slot in self._leased.values())

    @property
    def leased(self) -> dict[str, int]:
        """Digest and bytes of each leased slot, which cannot be evicted now."""
        return {digest: slot.num_bytes for digest, slot in self._leased.items()}

    def fits(self, sizes: Mapping[str, int]) -> bool:
        """Whether these digests could be placed together now."""
        others = [digest for digest in sizes if digest not in self._leased]
        num_bytes = sum(self._bytes_of(digest, sizes[digest]) for digest in others)
        return (
            len(self._leased) + len(others) <= self._num_slots
            and self._leased_bytes + num_bytes <= self._budget
        )

    def place(self, sizes: Mapping[str, int]) -> Placement:
        """A slot for each digest, of so many bytes, until a later step needs it for another.

        If it raises SlotsExhausted, nothing has changed.
        """
        if not self.fits(sizes):
            raise SlotsExhausted(
                f"{len(sizes)} adapters ({sum(sizes.values())} bytes) need a slot; running "
                f"generations hold {len(self._leased)} of the {self._num_slots} slots "
                f"({self._leased_bytes} of {self._budget} bytes)"
            )
        new = [digest for digest in sizes if not self._touch(digest)]
        num_swapped = self._make_room(len(new), sum(sizes[digest] for digest in new))
        for digest in new:
            self._allocate(digest, sizes[digest])
        slots = {digest: self._slot(digest).number for digest in sizes}
        return Placement(slots=slots, placed=new, num_swapped=num_swapped)

    def acquire(self, digest: str, num_bytes: int) -> Placement:
        """Places the digest and leases its slot. Raises SlotsExhausted."""
        placement = self.place({digest: num_bytes})
        if digest not in self._leased:
            slot = self._leased[digest] = self._idle.pop(digest)
            self._leased_bytes += slot.num_bytes
        self._leased[digest].leases += 1
        return placement

    def release(self, digest: str) -> None:
        """Ends one lease."""
        slot = self._leased.get(digest)
        assert slot is not None, f"{digest} was released more often than acquired"
        slot.leases -= 1
        if not slot.leases:
            self._idle[digest] = self._leased.pop(digest)
            self._leased_bytes -= slot.num_bytes

    def forget(self, digest: str) -> int | None:
        """Drops a digest that was unloaded, unless it is leased; returns its former slot."""
        return None if digest not in self._idle else self._drop(digest)

    def clear(self) -> None:
        """Forgets all slots and leases: those of a new engine are empty."""
        self._idle.clear()
        self._leased.clear()
        self._free.clear()
        self._next = 1
        self._num_bytes = self._leased_bytes = 0

    def _touch(self, digest: str) -> bool:
        """Whether the digest has a slot, which now counts as recently used."""
        if digest in self._idle:
            self._idle.move_to_end(digest)
            return True
        return digest in self._leased

    def _make_room(self, num_slots: int, num_bytes: int) -> int:
        """Evicts until so much is free; what the step uses itself was touched and goes last."""
        num_evicted = 0
        while (
            self.num_placed + num_slots > self._num_slots
            or self._num_bytes + num_bytes > self._budget
        ):
            self._drop(next(iter(self._idle)))
            num_evicted += 1
        return num_evicted

    def _allocate(self, digest: str, num_bytes: int) -> None:
        if self._free:
            number = heapq.heappop(self._free)
        else:
            number, self._next = self._next, self._next + 1
        self._idle[digest] = _Slot(number, num_bytes)
        self._num_bytes += num_bytes

    def _drop(self, digest: str) -> int:
        slot = self._idle.pop(digest)
        self._num_bytes -= slot.num_bytes
        heapq.heappush(self._free, slot.number)
        return slot.number

    def _slot(self, digest: str) -> _Slot:
        return self._leased.get(digest) or self._idle[digest]

    def _bytes_of(self, digest: str, num_bytes: int) -> int:
        slot = self._idle.get(digest)
        return num_bytes if slot is None else slot.num_bytes
