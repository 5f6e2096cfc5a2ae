"""A span over every token of a stream, in which each token has a lane of an adapter group or none.

Its shapes do not depend on how many tokens a lane has or where they are, so a CUDA graph of one
forward holds for others: only the numbers in one tensor change.

Shape letters: T tokens, S lanes, K ranks of all lanes, O output width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.ops.grouped_low_rank import Span, repeat_indices

#: the lane of a token on which an adapter of another group, or none, acts
NO_LANE = -1


class FixedSpan(Span):
    """Assign the tokens their lanes before each forward."""

    def __init__(self) -> None:
        super().__init__(0, [])
        self._lane_T = torch.empty(0, dtype=torch.int64)
        #: by the lanes' ranks, the lane of each column: kept, as a graph may not make it
        self._columns: dict[tuple[int, ...], Tensor] = {}
        self._hidden: dict[tuple[int, ...], Tensor] = {}

    def assign(self, lane_T: Tensor) -> None:
        self._lane_T, self._hidden = lane_T, {}
        self.start, self.stop = 0, len(lane_T)

    @property
    def one_each(self) -> bool:
        """False: a captured graph must hold for any number of tokens per lane."""
        return False

    def others(self, ranks: tuple[int, ...], device: torch.device) -> Tensor:
        if ranks not in self._columns:
            self._columns[ranks] = repeat_indices(ranks, device)
        if ranks not in self._hidden:
            self._hidden[ranks] = self._lane_T[:, None] != self._columns[ranks]
        return self._hidden[ranks]

    def own(self, vectors_SO: Tensor) -> Tensor:
        """Zero for tokens without a lane."""
        own_TO = vectors_SO.index_select(0, self._lane_T.clamp(min=0))
        return own_TO.masked_fill_((self._lane_T == NO_LANE)[:, None], 0.0)
