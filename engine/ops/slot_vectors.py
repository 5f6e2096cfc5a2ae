"""One vector per slot, all in one stack.

Knows no adapter, no site and no token.

Shape letters: S slots and slot 0, W width, V width of one slot's vector, T tokens.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.ops.slot_stack import SlotMemory, SlotStack


class SlotVectors:
    """Each slot's vector of up to W numbers; those that it lacks, or has not at all, are zero."""

    def __init__(self, memory: SlotMemory, width: int, dtype: torch.dtype) -> None:
        self.device = memory.device
        self._stack = SlotStack(memory, (width,), dtype)
        self.present_S: NDArray[np.bool_] = np.zeros(memory.num_slots, dtype=np.bool_)

    def put(self, slot: int, vector_V: Tensor) -> bool:
        """Whether the stack moved."""
        count = len(vector_V)
        moved = self._stack.take_place(slot)
        own_W = self._stack[slot]
        own_W[:count] = vector_V
        own_W[count:] = 0.0
        self.present_S[slot] = True
        return moved

    def remove(self, slot: int) -> None:
        self._stack.leave_place(slot)
        self.present_S[slot] = False

    def shrink(self) -> None:
        """Gives back the places that no slot has."""
        self._stack.shrink()

    def of_tokens(self, slot_T: Tensor) -> Tensor:
        """[T, W], each token's own."""
        return self._stack.own(slot_T)
