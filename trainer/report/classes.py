"""Precision, recall and F1 of each label, or of each type of entity. Runs in the child."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from trainer.metrics.metrics import entities, precision_recall_f1

#: of more labels those that do worst
MAX_CLASSES = 40


def class_scores(head: str, truth: Sequence[Any], guesses: Sequence[Any]) -> list[dict[str, Any]]:
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
    wanted, found = entities(truth), entities(guesses)
    table = {}
    for name in sorted({entity[1] for entity in wanted | found}):
        own, named = ({e for e in side if e[1] == name} for side in (wanted, found))
        precision, recall, f1 = precision_recall_f1(own, named)
        parts = {"precision": precision, "recall": recall, "f1-score": f1, "support": len(own)}
        table[name] = parts
    return table


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
