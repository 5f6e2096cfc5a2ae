"""A span over every token of a stream, in which each token has a seat of a bench or none.

Nothing made over it depends on how many tokens a seat has or where they stand, so what a device
recorded of one forward holds for others: only the numbers in one tensor change.

Shape letters: T tokens, S seats, K ranks of all seats, O output width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.ops.grouped_low_rank import Span, repeated

#: the seat of a token that another bench's adapter, or none, acts on
NO_SEAT = -1


class FixedSpan(Span):
    """Seat the tokens before each forward."""

    def __init__(self) -> None:
        super().__init__(0, [])
        self._seat_T = torch.empty(0, dtype=torch.int64)
        #: by the seats' ranks, whose each column is: kept, since a recording may not make it
        self._columns: dict[tuple[int, ...], Tensor] = {}
        self._hidden: dict[tuple[int, ...], Tensor] = {}

    def seat(self, seat_T: Tensor) -> None:
        self._seat_T, self._hidden = seat_T, {}
        self.start, self.stop = 0, len(seat_T)

    @property
    def one_each(self) -> bool:
        """Never said: a recording holds however many tokens each seat has."""
        return False

    def others(self, ranks: tuple[int, ...], device: torch.device) -> Tensor:
        if ranks not in self._columns:
            self._columns[ranks] = repeated(ranks, device)
        if ranks not in self._hidden:
            self._hidden[ranks] = self._seat_T[:, None] != self._columns[ranks]
        return self._hidden[ranks]

    def own(self, vectors_SO: Tensor) -> Tensor:
        """Zero for tokens without a seat."""
        own_TO = vectors_SO.index_select(0, self._seat_T.clamp(min=0))
        return own_TO.masked_fill_((self._seat_T == NO_SEAT)[:, None], 0.0)
