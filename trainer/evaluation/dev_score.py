"""What an evaluation on dev rows counts when epochs, seeds and trials are compared. Pure."""

from __future__ import annotations

import math
from typing import Any

from trainer.evaluation.evaluate import Evaluation
from trainer.heads import HEAD_DATA

#: compared from left to right: the task's metric, the higher the better, then the loss
DevScore = tuple[float, ...]


def dev_score(
    head: dict[str, Any], dev: Evaluation, training_loss: float | None = None
) -> DevScore:
    """The higher the better. Between equal metrics the lower loss is the better one.

    Text has no loss on dev rows. While nothing of it is right, the training loss tells the epochs
    apart: else the first of them, which has learned least, would be the best.
    """
    data = HEAD_DATA[head["kind"]]
    found = next(dev.metrics[name] for name in data.metrics if name in dev.metrics)
    worst = -math.inf if data.more_is_better else math.inf
    value = worst if found is None else float(found)
    ties = [float(dev.metrics.get(name) or 0.0) for name in data.tie_breaks]
    loss = dev.loss
    if loss is None and ties and not any(ties):
        loss = training_loss
    score = value if data.more_is_better else -value
    return (score, *ties, -math.inf if loss is None else -loss)
