"""Assigns digests to slots: placing, leasing, evicting. Knows no engine and no tensors."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass


class SlotsExhausted(Exception):
    """All slots are leased by batches in flight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The slots of a batch: the slot of each digest, and what the engine must place first."""

    slots: dict[str, int]
    place: dict[int, str]


@dataclass(slots=True)
class _Slot:
    digest: str
    num_bytes: int
    leases: int = 0


class SlotTable:
    """Slots 1..num_slots under a byte budget; slot 0 is the bare base and is never listed.

    `acquire` leases all digests or none. A leased digest is never evicted; the least recently used
    of the others is evicted first. Placing into a slot replaces its content, so evicting needs no
    step of its own.
    """

    def __init__(self, num_slots: int, num_bytes: int) -> None:
        self._num_slots = num_slots
        self._budget = num_bytes
        #: least recently used first
        self._slots: dict[int, _Slot] = {}
        self._where: dict[str, int] = {}

    @property
    def placed(self) -> dict[int, str]:
        return {slot: entry.digest for slot, entry in self._slots.items()}

    @property
    def num_bytes(self) -> int:
        return sum(entry.num_bytes for entry in self._slots.values())

    @property
    def num_leases(self) -> int:
        return sum(entry.leases for entry in self._slots.values())

    @property
    def leased(self) -> dict[str, int]:
        """Digest and bytes of each leased slot, which cannot be evicted now."""
        return {e.digest: e.num_bytes for e in self._slots.values() if e.leases}

    def fits(self, digests: Collection[str], sizes: Mapping[str, int]) -> bool:
        """Whether `acquire` would succeed now."""
        return self._victims(set(digests), sizes) is not None

    def acquire(self, digests: Collection[str], sizes: Mapping[str, int]) -> Placement:
        """Leases a slot for each digest and evicts as needed.

        If it raises SlotsExhausted, nothing has changed.
        """
        victims = self._victims(set(digests), sizes)
        if victims is None:
            raise SlotsExhausted(
                f"{len(set(digests))} adapters need a slot, and the {self._num_slots} slots "
                f"({self._budget} bytes) are held by batches in flight"
            )
        for slot in victims:
            self._drop(slot)
        place = {
            self._allocate(d, sizes[d]): d for d in dict.fromkeys(digests) if d not in self._where
        }
        return Placement(slots={d: self._lease(d) for d in dict.fromkeys(digests)}, place=place)

    def release(self, digest: str) -> None:
        """Ends one lease."""
        entry = self._slots[self._where[digest]]
        assert entry.leases > 0, f"{digest} was released more often than acquired"
        entry.leases -= 1

    def forget(self, digest: str) -> int | None:
        """Drops a digest that was unloaded, unless it is leased; returns its former slot."""
        slot = self._where.get(digest)
        if slot is None or self._slots[slot].leases:
            return None
        self._drop(slot)
        return slot

    def clear(self) -> None:
        """Forgets all slots and leases: those of a new engine are empty."""
        self._slots.clear()
        self._where.clear()

    def _victims(self, needed: set[str], sizes: Mapping[str, int]) -> list[int] | None:
        new = [d for d in needed if d not in self._where]
        spare_slots = self._num_slots - len(self._slots) - len(new)
        spare_bytes = self._budget - self.num_bytes - sum(sizes[d] for d in new)
        victims: list[int] = []
        for slot, entry in self._slots.items():
            if spare_slots >= 0 and spare_bytes >= 0:
                break
            if not entry.leases and entry.digest not in needed:
                victims.append(slot)
                spare_slots += 1
                spare_bytes += entry.num_bytes
        return victims if spare_slots >= 0 and spare_bytes >= 0 else None

    def _allocate(self, digest: str, num_bytes: int) -> int:
        slot = next(s for s in range(1, self._num_slots + 1) if s not in self._slots)
        self._slots[slot] = _Slot(digest, num_bytes)
        self._where[digest] = slot
        return slot

    def _lease(self, digest: str) -> int:
        slot = self._where[digest]
        entry = self._slots.pop(slot)
        entry.leases += 1
        self._slots[slot] = entry  # moves it to the recently used end
        return slot

    def _drop(self, slot: int) -> None:
        del self._where[self._slots.pop(slot).digest]
