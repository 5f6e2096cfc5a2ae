"""What an evaluation on dev rows counts when epochs, seeds and trials are compared. Pure."""

from __future__ import annotations

import math
from typing import Any

from trainer.evaluate import Evaluation
from trainer.heads import HEAD_DATA

#: compared from left to right: the task's metric, the higher the better, then the loss
DevScore = tuple[float, ...]


def dev_score(head: dict[str, Any], dev: Evaluation) -> DevScore:
    """The higher the better. Between equal metrics the lower loss is the better one."""
    data = HEAD_DATA[head["kind"]]
    found = next(dev.metrics[name] for name in data.metrics if name in dev.metrics)
    worst = -math.inf if data.more_is_better else math.inf
    value = worst if found is None else float(found)
    loss = dev.loss if dev.loss is not None else math.inf
    return (value if data.more_is_better else -value, -loss)
