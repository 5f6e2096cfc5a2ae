"""Tensors of one shape, one for each slot that has one, stacked in a tensor on the device.

Owns the memory. A slot's tensor has a place of its own in the stack, found by an index at an
address that never changes. Where memory is scarce a stack starts small and moves as it grows, and
what it no longer needs is given back once all stacks take too much. Knows no adapter.

Shape letters: S slots and slot 0, P places and place 0, T tokens.
"""

from __future__ import annotations

import heapq
from weakref import WeakSet

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_FIRST_PLACES = 4


class SlotMemory:
    """What the stacks of a device have in common: their slots, and the bytes that they take."""

    def __init__(self, num_slots: int, device: torch.device, num_bytes: int | None = None) -> None:
        """`num_slots` includes slot 0. Up to `num_bytes` no stack gives anything back; None: a
        stack has a place for every slot at once, for memory that is taken where it is written.
        """
        self.num_slots, self.device = num_slots, device
        self.first_places = num_slots - 1
        self._stacks: WeakSet[SlotStack] = WeakSet()
        self._budget = self._limit = num_bytes
        if num_bytes is not None:
            self.first_places = min(_FIRST_PLACES, num_slots - 1)

    @property
    def num_bytes(self) -> int:
        return sum(stack.values.nbytes for stack in self._stacks)

    def add(self, stack: SlotStack) -> None:
        """Counts it until nothing holds it."""
        self._stacks.add(stack)

    @property
    def is_full(self) -> bool:
        return self._limit is not None and self.num_bytes > self._limit

    def settle(self) -> None:
        """Unused places were given back; they are again once twice what is left is taken."""
        if self._budget is not None:
            self._limit = max(self._budget, 2 * self.num_bytes)


class SlotStack:
    """One tensor [P, ...] of places; place 0 is zero, for the slots that have nothing here."""

    def __init__(self, memory: SlotMemory, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self._memory = memory
        self._shape, self._dtype = shape, dtype
        self.index_S = torch.zeros(memory.num_slots, dtype=torch.int64, device=memory.device)
        #: the same, on the host
        self.place_S: NDArray[np.int64] = np.zeros(memory.num_slots, dtype=np.int64)
        self.values: Tensor = self._allocate(memory.first_places)
        self._free = list(range(1, memory.first_places + 1))
        memory.add(self)

    def own(self, slot_T: Tensor) -> Tensor:
        """[T, ...], the tensor of each token's slot."""
        return self.values.index_select(0, self.index_S.index_select(0, slot_T))

    def __getitem__(self, slot: int) -> Tensor:
        return self.values[self.place_S[slot]]

    def take_place(self, slot: int) -> bool:
        """Gives the slot a place if it has none. Whether the stack moved to have one."""
        if self.place_S[slot]:
            return False
        moves = not self._free
        if moves:
            self._move(max(self._memory.first_places, 2 * self._num_places))
        place = heapq.heappop(self._free)
        self.place_S[slot] = self.index_S[slot] = place
        return moves

    def leave_place(self, slot: int) -> None:
        if self.place_S[slot]:
            heapq.heappush(self._free, int(self.place_S[slot]))
            self.place_S[slot] = self.index_S[slot] = 0

    def shrink(self) -> None:
        """Moves to a tensor with no more places than the slots need, but for growth."""
        used = int(np.count_nonzero(self.place_S))
        needed = 1 << (used - 1).bit_length() if used else 0
        if needed < self._num_places:
            self._move(needed)

    @property
    def _num_places(self) -> int:
        return len(self.values) - 1

    def _move(self, num_places: int) -> None:
        num_places = min(num_places, self._memory.num_slots - 1)
        [slots] = np.nonzero(self.place_S)
        count, before = len(slots), self.values
        after = self._allocate(num_places)
        places = torch.from_numpy(self.place_S[slots]).to(before.device)
        torch.index_select(before, 0, places, out=after[1 : count + 1])
        self.values = after
        self.place_S[slots] = np.arange(1, count + 1)
        self.index_S.copy_(torch.from_numpy(self.place_S))
        self._free = list(range(count + 1, num_places + 1))

    def _allocate(self, num_places: int) -> Tensor:
        values = torch.empty(
            num_places + 1, *self._shape, dtype=self._dtype, device=self._memory.device
        )
        values[0] = 0.0
        return values
