"""Precision, recall and F1 of each label, or of each type of entity. Runs in the child."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

#: of more labels those that do worst
MAX_CLASSES = 40


def classes(head: str, truth: Sequence[Any], guesses: Sequence[Any]) -> list[dict[str, Any]]:
    """[{"label", "rows", "precision", "recall", "f1"}], worst first; none where there are none."""
    if not truth or head not in ("classify", "tag"):
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a label that is never answered: its precision is 0
        table = _entities(truth, guesses) if head == "tag" else _labels(truth, guesses)
    rows = [
        {
            "label": name,
            "rows": int(each["support"]),
            "precision": float(each["precision"]),
            "recall": float(each["recall"]),
            "f1": float(each["f1-score"]),
        }
        for name, each in table.items()
    ]
    return sorted(rows, key=lambda row: (row["f1"], row["label"]))[:MAX_CLASSES]


def _entities(truth: Sequence[Any], guesses: Sequence[Any]) -> dict[str, Any]:
    from seqeval.metrics import classification_report

    table = classification_report(
        [list(row) for row in truth], [list(row) for row in guesses], output_dict=True,
        zero_division=0,
    )  # fmt: skip
    return {name: each for name, each in table.items() if not name.endswith(" avg")}


def _labels(truth: Sequence[Any], guesses: Sequence[Any]) -> dict[str, Any]:
    from sklearn.metrics import precision_recall_fscore_support

    several = not isinstance(truth[0], str)
    names = sorted({name for row in [*truth, *guesses] for name in (row if several else [row])})
    if not names:
        return {}
    x, y = (_marked(side, names) if several else list(side) for side in (truth, guesses))
    labels = None if several else names
    parts = precision_recall_fscore_support(x, y, labels=labels, zero_division=0.0)
    kinds = ("precision", "recall", "f1-score", "support")
    return {
        name: dict(zip(kinds, each, strict=True)) for name, *each in zip(names, *parts, strict=True)
    }


def _marked(rows: Sequence[Sequence[str]], names: Sequence[str]) -> Any:
    import numpy as np

    return np.array([[int(name in row) for name in names] for row in rows])
