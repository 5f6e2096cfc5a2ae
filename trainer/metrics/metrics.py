"""What predictions are worth: accuracy and F1, correlation and error, entity F1. Pure NumPy,
because the front door's process computes them and must not pay for a statistics library; the tests
hold them to scikit-learn, SciPy and seqeval.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.heads.tag_scheme import spans

Metrics = dict[str, Any]


def classification(truth: Sequence[str], guesses: Sequence[str]) -> Metrics:
    """F1 per class over the classes that occur in either; macro F1 is their plain mean."""
    labels = sorted(set(truth) | set(guesses))
    per_class = {label: _f1_of_class(truth, guesses, label) for label in labels}
    return {
        "accuracy": _mean([left == right for left, right in zip(truth, guesses, strict=True)]),
        "macro_f1": _mean(list(per_class.values())),
        "f1_per_class": per_class,
    }


def multi_label(truth: Sequence[Sequence[str]], guesses: Sequence[Sequence[str]]) -> Metrics:
    """Micro F1 counts every label of every row alike, macro F1 every label; exact rows have all."""
    wanted, found = (
        [(i, label) for i, row in enumerate(x) for label in row] for x in (truth, guesses)
    )
    labels = sorted({label for _, label in [*wanted, *found]})
    per_label = {
        name: precision_recall_f1(
            {i for i, x in wanted if x == name}, {i for i, x in found if x == name}
        )[2]
        for name in labels
    }
    precision, recall, f1 = precision_recall_f1(set(wanted), set(found))
    pairs = zip(truth, guesses, strict=True)
    return {
        "micro_f1": f1,
        "micro_precision": precision,
        "micro_recall": recall,
        "macro_f1": _mean(list(per_label.values())),
        "exact": _mean([set(left) == set(right) for left, right in pairs]),
        "f1_per_label": per_label,
    }


def correlations(truth: Sequence[float], guesses: Sequence[float]) -> Metrics:
    """Null where one side is constant: it has no value there."""
    x, y = np.asarray(truth, np.float64), np.asarray(guesses, np.float64)
    return {"pearson": _correlation(x, y), "spearman": _correlation(_ranks(x), _ranks(y))}


def retrieval(ranks: Sequence[float]) -> Metrics:
    """How often the partner comes first, and the mean of one over its rank."""
    return {"accuracy": _mean([r == 1 for r in ranks]), "mrr": _mean([1 / r for r in ranks])}


def ranking(truth: Sequence[float], guesses: Sequence[float]) -> Metrics:
    """AUC: how often a relevant pair scores above an irrelevant one; ties count half."""
    relevant = np.asarray(truth, np.float64) > 0.5
    scores = np.asarray(guesses, np.float64)
    num, num_others = int(relevant.sum()), int((~relevant).sum())
    above = float(_ranks(scores)[relevant].sum()) - num * (num + 1) / 2
    said = scores > 0.5
    precision, recall, f1 = precision_recall_f1(
        set(np.flatnonzero(relevant)), set(np.flatnonzero(said))
    )
    return {
        "auc": above / (num * num_others) if num and num_others else None,
        "accuracy": float(np.mean(said == relevant)),
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }


def regression(truth: Sequence[float], guesses: Sequence[float]) -> Metrics:
    """Correlation and error; an error past all numbers is the largest there is."""
    x, y = np.asarray(truth, np.float64), np.asarray(guesses, np.float64)
    # a written number may be so large that its square is none; powers of two lose no digit
    scale = _power_of_two(np.concatenate([x, y]))
    missed = x / scale - y / scale
    errors = {"rmse": np.sqrt(np.mean(missed**2)), "mae": np.mean(np.abs(missed))}
    most = float(np.finfo(np.float64).max)
    return {
        **correlations(truth, guesses),
        **{name: min(float(error) * scale, most) for name, error in errors.items()},
    }


def tagging(truth: Sequence[Sequence[str]], guesses: Sequence[Sequence[str]]) -> Metrics:
    """Entity level: an entity counts when its type and both its ends are right."""
    all_wanted, all_found = entities(truth), entities(guesses)
    types = sorted({entity[1] for entity in all_wanted | all_found})
    words = [
        a == b
        for left, right in zip(truth, guesses, strict=True)
        for a, b in zip(left, right, strict=True)
    ]
    precision, recall, f1 = precision_recall_f1(all_wanted, all_found)
    return {
        "f1": f1,
        "precision": precision,
        "recall": recall,
        "f1_per_type": {
            name: precision_recall_f1(
                {e for e in all_wanted if e[1] == name}, {e for e in all_found if e[1] == name}
            )[2]
            for name in types
        },
        "token_accuracy": _mean(words),
    }


def entities(rows: Sequence[Sequence[str]]) -> set[tuple[int, str, int, int]]:
    """The row, type and ends of every entity."""
    return {(row, *span) for row, tags in enumerate(rows) for span in spans(tags)}


def binary_cross_entropy(logits: NDArray[np.float32], target: Sequence[float]) -> float:
    """Of one row's independent yes-or-no answers."""
    x, wanted = logits.astype(np.float64), np.asarray(target, np.float64)
    return float(np.mean(np.maximum(x, 0) - x * wanted + np.log1p(np.exp(-np.abs(x)))))


def cross_entropy(logits: NDArray[np.float32], target: int) -> float:
    """Of one row; breaks ties between epochs of equal accuracy."""
    shifted = logits.astype(np.float64) - float(logits.max())
    return float(np.log(np.exp(shifted).sum()) - shifted[target])


def precision_recall_f1(wanted: set[Any], found: set[Any]) -> tuple[float, float, float]:
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
    x, y = x / max(1.0, _power_of_two(x)), y / max(1.0, _power_of_two(y))
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > 1e-12 else None


def _power_of_two(values: NDArray[np.float64]) -> float:
    """About the largest of them."""
    return float(np.ldexp(0.5, np.frexp(np.abs(values).max())[1]))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ties share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: NDArray[np.float64] = (last - (counts - 1) / 2)[inverse]
    return ranks
