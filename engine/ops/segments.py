"""Which tokens of a stream belong to which slots. Knows no weights and no adapter.

Shape letters: T tokens of the span, G segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Segments:
    """Neighbouring tokens from `start` on: `counts[g]` tokens of slot `slots[g]`, in order.

    A slot may have several segments.
    """

    def __init__(self, start: int, slots: Sequence[int], counts: Sequence[int]) -> None:
        self.start = start
        self.slots_G: NDArray[np.int64] = np.array(slots, dtype=np.int64)
        self.counts_G: NDArray[np.int32] = np.array(counts, dtype=np.int32)
        ends_G = np.cumsum(self.counts_G, dtype=np.int64)
        #: first token of each segment, counted from `start`
        self.offsets_G: NDArray[np.int64] = ends_G - self.counts_G
        self.num_tokens = int(ends_G[-1]) if len(ends_G) else 0
        self._on_device: tuple[torch.device, Tensor, Tensor] | None = None
        self._slot_T: Tensor | None = None
        self._interleaved: tuple[int, Segments] | None = None

    def __len__(self) -> int:
        return len(self.slots_G)

    @property
    def on_host(self) -> bool:
        """Whether slots and counts are known without asking a device."""
        return True

    @property
    def one_each(self) -> bool:
        """Whether every segment is one token, as in decoding."""
        return bool((self.counts_G == 1).all())

    def meets(self, present_S: NDArray[Any]) -> bool:
        """Whether what is there for some slots is there for one of these."""
        return bool(present_S[self.slots_G].any())

    def interleave(self, num_threads: int) -> Segments:
        """The same segments in the order in which threads that take them in turns have neighbouring
        tokens each, as they had when these were computed.
        """
        if num_threads < 2 or len(self) <= num_threads:
            return self
        if self._interleaved is None or self._interleaved[0] != num_threads:
            thread_G = self.offsets_G * num_threads // max(1, self.num_tokens)
            turns = zip_longest(*(np.flatnonzero(thread_G == i) for i in range(num_threads)))
            order = [int(g) for turn in turns for g in turn if g is not None]
            self._interleaved = num_threads, self._select(np.array(order))
        return self._interleaved[1]

    def only(self, there_G: NDArray[np.bool_]) -> Segments:
        """Some of the segments, with the offsets that they have among all."""
        return self._select(np.flatnonzero(there_G))

    def _select(self, index_G: NDArray[np.int64]) -> Segments:
        some = Segments(self.start, (), ())
        some.slots_G, some.counts_G = self.slots_G[index_G], self.counts_G[index_G]
        some.offsets_G, some.num_tokens = self.offsets_G[index_G], self.num_tokens
        return some

    def of(self, stream: Tensor) -> Tensor:
        """The span's tokens of a flattened stream: a view."""
        return stream[self.start : self.start + self.num_tokens]

    def slots_on(self, device: torch.device) -> Tensor:
        """[G] int64."""
        return self._tensors(device)[0]

    def ends_on(self, device: torch.device) -> Tensor:
        """[G] int32: the past-last token of each segment, counted from `start`."""
        return self._tensors(device)[1]

    def slot_of_tokens(self, device: torch.device) -> Tensor:
        """[T] int64."""
        if self._slot_T is None or self._slot_T.device != device:
            slot_T = np.repeat(self.slots_G, self.counts_G)
            self._slot_T = torch.from_numpy(slot_T).to(device, non_blocking=True)
        return self._slot_T

    def _tensors(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if self._on_device is None or self._on_device[0] != device:
            ends_G = (self.offsets_G + self.counts_G).astype(np.int32)
            slots, ends = (
                torch.from_numpy(numbers).to(device, non_blocking=True)
                for numbers in (self.slots_G, ends_G)
            )
            self._on_device = device, slots, ends
        return self._on_device[1:]


class FixedSegments(Segments):
    """Segments that are numbers in tensors at fixed addresses: a CUDA graph of one forward holds
    for other slots and other counts.
    """

    def __init__(
        self, slot_G: Tensor, end_G: Tensor | None = None, slot_T: Tensor | None = None
    ) -> None:
        """`end_G`, int32, is the past-last token of each segment, and `slot_T` each token's slot;
        without them every segment is one token.
        """
        super().__init__(0, (), ())
        device = slot_G.device
        self._slot_G, self._one_each = slot_G, end_G is None
        if end_G is None or slot_T is None:
            end_G = torch.arange(1, len(slot_G) + 1, dtype=torch.int32, device=device)
            slot_T = slot_G
        self._end_G, self._slot_T, self.num_tokens = end_G, slot_T, len(slot_T)

    def __len__(self) -> int:
        return len(self._slot_G)

    @property
    def on_host(self) -> bool:
        return False

    @property
    def one_each(self) -> bool:
        return self._one_each

    def meets(self, present_S: NDArray[Any]) -> bool:
        """Any slot may come."""
        del present_S
        return True

    def slots_on(self, device: torch.device) -> Tensor:
        del device
        return self._slot_G

    def ends_on(self, device: torch.device) -> Tensor:
        del device
        return self._end_G

    def slot_of_tokens(self, device: torch.device) -> Tensor:
        del device
        assert self._slot_T is not None
        return self._slot_T
