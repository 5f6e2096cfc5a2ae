"""Gradual unfreezing: which layers an epoch trains. The head alone first, then the adapted layers
from the top down in equal stages. Pure numbers.
"""

from __future__ import annotations

from collections.abc import Sequence


def frozen_below(
    epoch: int, num_stages: int, adapted: Sequence[int], num_layers: int, *, bare: bool = False
) -> int | None:
    """The lowest layer that `epoch`, counted from 0, trains; none where it trains all there is.

    A bare head has no weights that could be trained alone, so the top layers begin with it.
    """
    if epoch >= num_stages:
        return None
    first = 1 if bare else 0
    num = round(len(adapted) * (epoch + first) / (num_stages + first))
    # of a bare head at least one layer, and always one less than all: else it is no stage
    num = min(max(num, first), len(adapted) - 1)
    return sorted(adapted)[-num] if num else num_layers
