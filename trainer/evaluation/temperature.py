"""Temperature scaling of a head's probabilities, fitted on dev rows (Guo et al. 2017). Touches
neither slots nor test rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.heads.encoded import EncodedRow
from trainer.heads.head_data import Answer

#: fewer dev rows than these say too little
MIN_DEV_ROWS = 20
_LOWEST, _HIGHEST = 0.1, 10.0
#: how far the logarithm of a temperature usually is from 0: a few rows move it a little only, and
#: rows that are all answered rightly do not make it as sure as can be
_USUAL = 1.0
_GOLDEN = (math.sqrt(5) - 1) / 2
_STEPS = 40

Floats = NDArray[np.float64]


def fit_temperature(
    head: Mapping[str, Any],
    dev: Sequence[EncodedRow],
    answers: Callable[[], Sequence[Answer]],
) -> dict[str, Any]:
    """The head's settings with the temperature that fits the dev rows; unchanged where the head has
    no probabilities or there are too few rows. `answers` is called only where they are needed.
    """
    if head["kind"] != "classify" or len(dev) < MIN_DEV_ROWS:
        return dict(head)
    logits = np.stack([np.asarray(answer, np.float64) for answer in answers()])
    loss = _loss(logits, [row.target for row in dev])
    # four digits: the same on any machine, and all that dev rows can tell
    return {**head, "temperature": round(math.exp(_least(loss)), 4)}


def _loss(logits: Floats, targets: Sequence[Any]) -> Callable[[float], float]:
    """Of the logarithm of a temperature: the loss of all rows, and how unusual it is."""
    labels = np.asarray(targets)

    def entropy(scaled: Floats) -> float:
        if labels.ndim == 2:  # each label a yes or no
            return float((np.logaddexp(0, scaled) - scaled * labels).sum())
        total = np.logaddexp.reduce(scaled, axis=1)
        return float((total - scaled[np.arange(len(labels)), labels]).sum())

    return lambda log_t: entropy(logits / math.exp(log_t)) + (log_t / _USUAL) ** 2 / 2


def _least(loss: Callable[[float], float]) -> float:
    """By golden section: the loss falls, then rises."""
    low, high = math.log(_LOWEST), math.log(_HIGHEST)
    for _ in range(_STEPS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if loss(left) <= loss(right):
            high = right
        else:
            low = left
    return (low + high) / 2
