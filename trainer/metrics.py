"""What predictions are worth: accuracy and F1, correlation and error, entity F1. Pure NumPy,
because the front door's process computes them and must not pay for a statistics library; the tests
hold them to scikit-learn, SciPy and seqeval.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Metrics = dict[str, Any]

#: the metric that early stopping and best-on-dev follow, and whether more is better
TASK_METRIC = {"classify": ("accuracy", True), "regress": ("rmse", False), "tag": ("f1", True)}


def measure(head: str, truth: Sequence[Any], guesses: Sequence[Any]) -> Metrics:
    """The metrics of a head, from what is true and what was answered."""
    if head == "classify":
        return classification(truth, guesses)
    return regression(truth, guesses) if head == "regress" else tagging(truth, guesses)


def classification(truth: Sequence[str], guesses: Sequence[str]) -> Metrics:
    """F1 per class over the classes that occur in either; macro F1 is their plain mean."""
    labels = sorted(set(truth) | set(guesses))
    per_class = {label: _f1_of_class(truth, guesses, label) for label in labels}
    return {
        "accuracy": _mean([left == right for left, right in zip(truth, guesses, strict=True)]),
        "macro_f1": _mean(list(per_class.values())),
        "f1_per_class": per_class,
    }


def regression(truth: Sequence[float], guesses: Sequence[float]) -> Metrics:
    """A correlation is null where one side is constant: it has no value there."""
    x, y = np.asarray(truth, np.float64), np.asarray(guesses, np.float64)
    return {
        "pearson": _correlation(x, y),
        "spearman": _correlation(_ranks(x), _ranks(y)),
        "rmse": float(np.sqrt(np.mean((x - y) ** 2))),
        "mae": float(np.mean(np.abs(x - y))),
    }


def tagging(truth: Sequence[Sequence[str]], guesses: Sequence[Sequence[str]]) -> Metrics:
    """Entity level: an entity counts when its type and both its ends are right."""
    wanted = [{(row, *span) for span in spans(tags)} for row, tags in enumerate(truth)]
    found = [{(row, *span) for span in spans(tags)} for row, tags in enumerate(guesses)]
    all_wanted, all_found = set().union(*wanted), set().union(*found)
    types = sorted({entity[1] for entity in all_wanted | all_found})
    words = [
        a == b
        for left, right in zip(truth, guesses, strict=True)
        for a, b in zip(left, right, strict=True)
    ]
    precision, recall, f1 = _prf(all_wanted, all_found)
    return {
        "f1": f1,
        "precision": precision,
        "recall": recall,
        "f1_per_type": {
            name: _prf(
                {e for e in all_wanted if e[1] == name}, {e for e in all_found if e[1] == name}
            )[2]
            for name in types
        },
        "token_accuracy": _mean(words),
    }


def spans(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """(type, first, last + 1). An I- that continues nothing of its type begins an entity, as
    conlleval reads it.
    """
    found: list[tuple[str, int, int]] = []
    previous = "O"
    for position, tag in enumerate(tags):
        continues = tag.startswith("I-") and previous[2:] == tag[2:]
        if continues:
            kind, first, _ = found[-1]
            found[-1] = (kind, first, position + 1)
        elif tag != "O":
            found.append((tag[2:], position, position + 1))
        previous = tag
    return found


def cross_entropy(logits: NDArray[np.float32], target: int) -> float:
    """Of one row; breaks ties between epochs of equal accuracy."""
    shifted = logits.astype(np.float64) - float(logits.max())
    return float(np.log(np.exp(shifted).sum()) - shifted[target])


def _prf(wanted: set[Any], found: set[Any]) -> tuple[float, float, float]:
    right = len(wanted & found)
    precision = right / len(found) if found else 0.0
    recall = right / len(wanted) if wanted else 0.0
    return precision, recall, 2 * right / (len(wanted) + len(found)) if right else 0.0


def _f1_of_class(truth: Sequence[str], guesses: Sequence[str], label: str) -> float:
    right = sum(t == label and g == label for t, g in zip(truth, guesses, strict=True))
    named = sum(t == label for t in truth) + sum(g == label for g in guesses)
    return 2 * right / named if named else 0.0


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def _correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float | None:
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > 1e-12 else None


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ties share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: NDArray[np.float64] = (last - (counts - 1) / 2)[inverse]
    return ranks
