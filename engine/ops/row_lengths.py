"""How long the rows of a packed stream are, in the forms in which attention reads it.

Made once for a batch and handed through the stock model. Knows no token, no slot and no model.

Shape letters: R rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from torch import Tensor

from engine.ops.attention_autograd import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLengths:
    """Rows laid end to end."""

    #: for attention by runs: neighbours of one length; none of a captured forward, whose lengths
    #: only the device knows
    runs: Sequence[Run]
    #: for attention in one launch: where each row starts, and where the last one ends, int32 [R+1]
    cu_seqlens: Tensor
    #: no row has more tokens
    longest: int

    @classmethod
    def of(cls, lengths: Sequence[int], cu_seqlens: Tensor) -> RowLengths:
        return cls(
            runs=[(length, len(list(rows))) for length, rows in groupby(lengths)],
            cu_seqlens=cu_seqlens,
            longest=max(lengths),
        )
