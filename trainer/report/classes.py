"""Label by label: precision, recall and F1 of each label or type of entity, and which labels are
confused. Knows no probabilities.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypedDict

from trainer.metrics.metrics import count_entities, count_labels, precision_recall_f1

#: if there are more labels, only those with the lowest F1
MAX_CLASSES = 40
#: rows of the confusion matrix, for the most frequent labels
MAX_LABELS = 20
_MOST_MISTAKES = 10


class ClassScores(TypedDict):
    """One label, or one type of entity, on the test rows. A figure without rows is 0."""

    label: str
    #: rows (or entities) that have the label
    rows: int
    precision: float
    recall: float
    f1: float


class Mistake(TypedDict):
    """A pair of labels that is confused."""

    #: the true label
    label: str
    #: the predicted label
    answer: str
    rows: int


class Confusion(TypedDict):
    """The confusion matrix of the test rows."""

    #: in alphabetical order
    labels: list[str]
    #: counts of rows: one list a true label, one entry a predicted label
    counts: list[list[int]]
    #: how many labels have no row of the matrix
    left_out: int
    #: most frequent first
    mistakes: list[Mistake]


def score_classes(head: str, truth: Sequence[Any], guesses: Sequence[Any]) -> list[ClassScores]:
    """Lowest F1 first; empty for heads without labels."""
    if not truth or head not in ("classify", "tag"):
        return []
    if head == "tag":
        counts = count_entities(truth, guesses)
    else:
        counts = count_labels(_as_lists(truth), _as_lists(guesses))
    rows: list[ClassScores] = []
    for name, (num_shared, num_true, num_predicted) in counts.items():
        precision, recall, f1 = precision_recall_f1(num_shared, num_true, num_predicted)
        rows.append(
            {"label": name, "rows": num_true, "precision": precision, "recall": recall, "f1": f1}
        )
    return sorted(rows, key=lambda row: (row["f1"], row["label"]))[:MAX_CLASSES]


def count_confusions(truth: Sequence[Any], guesses: Sequence[Any]) -> Confusion | None:
    """None where answers are not single labels."""
    if not truth or not all(isinstance(label, str) for label in [*truth, *guesses]):
        return None
    pairs = Counter(zip(truth, guesses, strict=True))
    frequent = Counter([*truth, *guesses]).most_common()
    labels = sorted(name for name, _ in frequent[:MAX_LABELS])
    wrong = [(pair, num) for pair, num in pairs.most_common() if pair[0] != pair[1]]
    return {
        "labels": labels,
        "counts": [[pairs[t, g] for g in labels] for t in labels],
        "left_out": len(frequent) - len(labels),
        "mistakes": [
            {"label": t, "answer": g, "rows": num} for (t, g), num in wrong[:_MOST_MISTAKES]
        ],
    }


def _as_lists(rows: Sequence[Any]) -> list[Sequence[str]]:
    return [[row] if isinstance(row, str) else row for row in rows]
