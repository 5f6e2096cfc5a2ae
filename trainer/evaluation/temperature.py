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
_FOLDS = 5

Floats = NDArray[np.float64]


def fit_temperature(
    head: Mapping[str, Any],
    dev: Sequence[EncodedRow],
    answers: Sequence[Answer],
) -> dict[str, Any]:
    """The head's settings with the temperature that fits the dev rows. They are unchanged where the
    head has no probabilities, where there are too few rows, and where a temperature makes the
    probabilities of held-out dev rows no better. `answers` are those to the dev rows, without a
    temperature; none are needed for other heads.
    """
    if head["kind"] != "classify" or len(dev) < MIN_DEV_ROWS:
        return dict(head)
    logits = np.stack([np.asarray(answer, np.float64) for answer in answers])
    labels = np.asarray([row.target for row in dev])
    if not _gains(logits, labels):
        return dict(head)
    # four digits: the same on any machine, and all that dev rows can tell
    return {**head, "temperature": round(math.exp(_fit(logits, labels)), 4)}


def _gains(logits: Floats, labels: NDArray[Any]) -> bool:
    """Whether temperatures lower the log loss of rows that they were not fitted on, by
    cross-validation.
    """
    folds = np.arange(len(labels)) % _FOLDS
    change = 0.0
    for fold in range(_FOLDS):
        held, rest = folds == fold, folds != fold
        temperature = math.exp(_fit(logits[rest], labels[rest]))
        change += _log_loss(logits[held] / temperature, labels[held])
        change -= _log_loss(logits[held], labels[held])
    return change < 0


def _fit(logits: Floats, labels: NDArray[Any]) -> float:
    """The logarithm of the temperature with the lowest loss, which includes how unusual it is."""
    return _least(
        lambda log_t: _log_loss(logits / math.exp(log_t), labels) + (log_t / _USUAL) ** 2 / 2
    )


def _log_loss(logits: Floats, labels: NDArray[Any]) -> float:
    """The sum over all rows, in nats."""
    if labels.ndim == 2:  # each label a yes or no
        return float((np.logaddexp(0, logits) - logits * labels).sum())
    total = np.logaddexp.reduce(logits, axis=1)
    return float((total - logits[np.arange(len(labels)), labels]).sum())


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
