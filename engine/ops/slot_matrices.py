"""One matrix per slot, all in one stack per bucket of rows.

Knows no adapter, no site and no token.

Shape letters: S slots and slot 0, N rows of a bucket, K rows of the largest matrix, W width, T
tokens.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.ops.slot_stack import SlotMemory, SlotStack

#: a bucket holds matrices of up to twice as many rows as the one before; the smallest:
_MIN_ROWS = 8


class SlotMatrices:
    """Each slot's matrix [rows, W] or none; matrices of different slots may have different rows."""

    def __init__(self, memory: SlotMemory, width: int, dtype: torch.dtype) -> None:
        self._memory, self.width, self.dtype = memory, width, dtype
        #: by their rows; the rows that a matrix lacks are zero
        self.buckets: dict[int, SlotStack] = {}
        #: 0 where a slot has no matrix
        self.rows_S: NDArray[np.int32] = np.zeros(memory.num_slots, dtype=np.int32)
        #: of each slot's first element, in bytes; only where it has a matrix
        self.addresses_S: NDArray[np.int64] = np.zeros(memory.num_slots, dtype=np.int64)

    def put(self, slot: int, matrix_NW: Tensor) -> bool:
        """Whether a bucket was added or moved. Raises RuntimeError where the device has no memory
        for it.
        """
        count = len(matrix_NW)
        size = bucket_rows(count)
        if self.rows_S[slot] and bucket_rows(int(self.rows_S[slot])) != size:
            self.remove(slot)
        is_new = size not in self.buckets
        if is_new:
            self.buckets[size] = SlotStack(self._memory, (size, self.width), self.dtype)
        bucket = self.buckets[size]
        moved = bucket.take_place(slot)
        self.rows_S[slot] = count
        own_NW = bucket[slot]
        own_NW[:count] = matrix_NW
        own_NW[count:] = 0.0
        self.addresses_S[slot] = own_NW.data_ptr()
        if moved:
            self._find_addresses()
        return is_new or moved

    def remove(self, slot: int) -> None:
        if self.rows_S[slot]:
            self.buckets[bucket_rows(int(self.rows_S[slot]))].leave_place(slot)
            self.rows_S[slot] = 0

    def shrink(self) -> None:
        """Gives back the places that no slot has."""
        for bucket in self.buckets.values():
            bucket.shrink()
        self._find_addresses()

    def _find_addresses(self) -> None:
        """Where the matrices are after buckets have moved."""
        for bucket in self.buckets.values():
            [slots] = np.nonzero(bucket.place_S)
            step = bucket.values[0].nbytes
            self.addresses_S[slots] = bucket.values.data_ptr() + step * bucket.place_S[slots]

    def add_columns(self, h_TK: Tensor, slot_T: Tensor) -> None:
        """Adds matrices of one column, each token's own, to `h_TK` in place."""
        for bucket in self.buckets.values():
            own_TN = bucket.own(slot_T)
            count = min(own_TN.shape[1], h_TK.shape[1])
            h_TK[:, :count] += own_TN[:, :count, 0]

    def __getitem__(self, slot: int) -> Tensor:
        """A view [rows, W] of the matrix of a slot that has one."""
        count = int(self.rows_S[slot])
        return self.buckets[bucket_rows(count)][slot][:count]


def bucket_rows(count: int) -> int:
    """The rows of the bucket for a matrix of so many: a power of two."""
    return max(_MIN_ROWS, 1 << (count - 1).bit_length())
