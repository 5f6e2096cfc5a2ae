"""The memory that a captured forward's segments are read from, and how a batch is written there.

Shape letters: T tokens of the stream, G segments.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from engine.ops.segments import FixedSegments


class StaticSegments:
    """Room for `num_segments` segments of a stream of `num_tokens`; the last ones are empty."""

    def __init__(self, num_segments: int, num_tokens: int, device: torch.device) -> None:
        self._num_segments, self._num_tokens = num_segments, num_tokens
        size = 2 * num_segments + num_tokens
        # one copy carries everything over; a batch's answers are read back before the next one
        self._host = torch.zeros(size, dtype=torch.int64, pin_memory=device.type == "cuda")
        self._device = torch.zeros(size, dtype=torch.int64, device=device)
        self._end_G = torch.zeros(num_segments, dtype=torch.int32, device=device)
        slot_G, self._wide_end_G, slot_T = torch.split(
            self._device, [num_segments, num_segments, num_tokens]
        )
        self.segments = FixedSegments(slot_G, self._end_G, slot_T)

    def assign(self, slots: Sequence[int], counts: Sequence[int]) -> None:
        """The next forward's rows; what is behind them is of no slot."""
        numbers, count, width = self._host.numpy(), len(slots), self._num_segments
        slot_G, end_G, slot_T = numbers[:width], numbers[width : 2 * width], numbers[2 * width :]
        slot_G[:count], slot_G[count:] = slots, 0
        end_G[:count], end_G[count:] = np.cumsum(counts), self._num_tokens
        tokens = np.repeat(np.array(slots, dtype=np.int64), counts)
        slot_T[: len(tokens)], slot_T[len(tokens) :] = tokens, 0
        self._device.copy_(self._host, non_blocking=True)
        self._end_G.copy_(self._wide_end_G)
