"""What the curves of a run say while it trains. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from trainer.training.loop_state import Epoch

#: the dev loss is this far above its lowest before anything is said of it
RISE = 1.05


def overfits(epochs: Sequence[Epoch]) -> bool:
    """Whether the last two epochs each lowered the training loss and raised the dev loss."""
    if len(epochs) < 3:
        return False
    first, second, third = (epoch.dev_loss for epoch in epochs[-3:])
    if first is None or second is None or third is None:
        return False
    losses = [epoch.loss for epoch in epochs[-3:]]
    falls = losses[0] > losses[1] > losses[2]
    lowest = min(epoch.dev_loss for epoch in epochs if epoch.dev_loss is not None)
    return falls and first < second < third and third > lowest * RISE
