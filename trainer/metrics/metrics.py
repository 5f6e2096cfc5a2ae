"""Metrics of predictions: accuracy and F1, correlation and error, entity F1. NumPy alone, because
the server's process computes them and must not load a statistics library; tests compare them with
scikit-learn, SciPy and seqeval.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.heads.tag_scheme import spans

#: a figure, or figures by label, by the name of the metric
Metrics = dict[str, Any]
T = TypeVar("T")


class Matches(NamedTuple):
    """How many labels, entities or words two sides share."""

    num_shared: int
    num_true: int
    num_predicted: int


def classification(truth: Sequence[str], guesses: Sequence[str]) -> Metrics:
    """Macro F1 is the mean of the F1 of all classes that occur on either side."""
    counts = count_labels([[label] for label in truth], [[label] for label in guesses])
    f1_per_class = {label: precision_recall_f1(*matches)[2] for label, matches in counts.items()}
    return {
        "accuracy": _mean([left == right for left, right in zip(truth, guesses, strict=True)]),
        "macro_f1": _mean(list(f1_per_class.values())),
        "f1_per_class": f1_per_class,
    }


def multi_label(truth: Sequence[Sequence[str]], guesses: Sequence[Sequence[str]]) -> Metrics:
    """Micro F1 weighs every label of every row alike, macro F1 every label of the task; "exact" is
    the share of rows whose labels are all right.
    """
    counts = count_labels(truth, guesses)
    f1_per_label = {label: precision_recall_f1(*matches)[2] for label, matches in counts.items()}
    precision, recall, f1 = precision_recall_f1(*_add_up(counts.values()))
    pairs = zip(truth, guesses, strict=True)
    return {
        "micro_f1": f1,
        "micro_precision": precision,
        "micro_recall": recall,
        "macro_f1": _mean(list(f1_per_label.values())),
        "exact": _mean([set(left) == set(right) for left, right in pairs]),
        "f1_per_label": f1_per_label,
    }


def correlations(truth: Sequence[float], guesses: Sequence[float]) -> Metrics:
    """None where one side is constant, since there is no correlation."""
    x, y = np.asarray(truth, np.float64), np.asarray(guesses, np.float64)
    return {"pearson": _correlation(x, y), "spearman": _correlation(_ranks(x), _ranks(y))}


def retrieval(ranks: Sequence[float]) -> Metrics:
    """How often the partner has the first rank, and the mean reciprocal rank."""
    return {"accuracy": _mean([r == 1 for r in ranks]), "mrr": _mean([1 / r for r in ranks])}


def ranking(truth: Sequence[float], guesses: Sequence[float]) -> Metrics:
    """AUC: how often a relevant pair scores above an irrelevant one; ties count half."""
    relevant = np.asarray(truth, np.float64) > 0.5
    scores = np.asarray(guesses, np.float64)
    num, num_others = int(relevant.sum()), int((~relevant).sum())
    above = float(_ranks(scores)[relevant].sum()) - num * (num + 1) / 2
    predicted = scores > 0.5
    precision, recall, f1 = precision_recall_f1(
        int((relevant & predicted).sum()), num, int(predicted.sum())
    )
    return {
        "auc": above / (num * num_others) if num and num_others else None,
        "accuracy": float(np.mean(predicted == relevant)),
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }


def regression(truth: Sequence[float], guesses: Sequence[float]) -> Metrics:
    """Correlation and error; an error too large for a float is the largest float."""
    x, y = np.asarray(truth, np.float64), np.asarray(guesses, np.float64)
    # the square of a very large number is infinite; scaling by powers of two loses no digit
    scale = _power_of_two(np.concatenate([x, y]))
    difference = x / scale - y / scale
    errors = {"rmse": np.sqrt(np.mean(difference**2)), "mae": np.mean(np.abs(difference))}
    most = float(np.finfo(np.float64).max)
    return {
        **correlations(truth, guesses),
        **{name: min(float(error) * scale, most) for name, error in errors.items()},
    }


def tagging(truth: Sequence[Sequence[str]], guesses: Sequence[Sequence[str]]) -> Metrics:
    """Entity level: an entity counts when its type and both its ends are right."""
    counts = count_entities(truth, guesses)
    words = [
        a == b
        for left, right in zip(truth, guesses, strict=True)
        for a, b in zip(left, right, strict=True)
    ]
    precision, recall, f1 = precision_recall_f1(*_add_up(counts.values()))
    return {
        "f1": f1,
        "precision": precision,
        "recall": recall,
        "f1_per_type": {name: precision_recall_f1(*matches)[2] for name, matches in counts.items()},
        "token_accuracy": _mean(words),
    }


def count_labels(
    truth: Sequence[Iterable[str]], guesses: Sequence[Iterable[str]]
) -> dict[str, Matches]:
    """By label, in alphabetical order; a label counts once a row."""
    sides = zip(truth, guesses, strict=True)
    return _count_matches([(set(left), set(right)) for left, right in sides], lambda label: label)


def count_entities(
    truth: Sequence[Sequence[str]], guesses: Sequence[Sequence[str]]
) -> dict[str, Matches]:
    """By type, in alphabetical order; entities match when their type and both ends do."""
    sides = zip(truth, guesses, strict=True)
    rows = [(set(spans(left)), set(spans(right))) for left, right in sides]
    return _count_matches(rows, lambda entity: entity[0])


def f1_score(num_shared: Any, num_true: Any, num_predicted: Any) -> Any:
    """The formula, for counts and for arrays of counts, of which one side is not 0."""
    return 2 * num_shared / (num_true + num_predicted)


def precision_recall_f1(
    num_shared: int, num_true: int, num_predicted: int
) -> tuple[float, float, float]:
    """Zero where there is nothing to count."""
    precision = num_shared / num_predicted if num_predicted else 0.0
    recall = num_shared / num_true if num_true else 0.0
    f1: float = f1_score(num_shared, num_true, num_predicted) if num_shared else 0.0
    return precision, recall, f1


def word_f1(truth: Sequence[str], guess: Sequence[str]) -> float:
    """F1 of two texts over their words in any order, as SQuAD counts it; two empty texts are
    equal.
    """
    num_shared = (Counter(truth) & Counter(guess)).total()
    if not num_shared:
        return float(not truth and not guess)
    return float(f1_score(num_shared, len(truth), len(guess)))


def binary_cross_entropy(logits: NDArray[np.float32], target: Sequence[float]) -> float:
    """The mean over the labels of one row, each a yes or a no."""
    x, y = logits.astype(np.float64), np.asarray(target, np.float64)
    return float(np.mean(np.maximum(x, 0) - x * y + np.log1p(np.exp(-np.abs(x)))))


def cross_entropy(logits: NDArray[np.float32], target: int) -> float:
    """Of one row."""
    shifted = logits.astype(np.float64) - float(logits.max())
    return float(np.log(np.exp(shifted).sum()) - shifted[target])


def _count_matches(
    rows: Sequence[tuple[set[T], set[T]]], label_of: Callable[[T], str]
) -> dict[str, Matches]:
    shared, true, predicted = Counter[str](), Counter[str](), Counter[str]()
    for left, right in rows:
        shared.update(map(label_of, left & right))
        true.update(map(label_of, left))
        predicted.update(map(label_of, right))
    labels = sorted(true.keys() | predicted.keys())
    return {label: Matches(shared[label], true[label], predicted[label]) for label in labels}


def _add_up(counts: Iterable[Matches]) -> Matches:
    rows = list(counts)
    return Matches(
        sum(matches.num_shared for matches in rows),
        sum(matches.num_true for matches in rows),
        sum(matches.num_predicted for matches in rows),
    )


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
