"""The one order in which metrics are listed, wherever they are. Knows no value of any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: every metric of every head; the main one of a head comes before its others
METRIC_ORDER = (
    "explained",
    "auc",
    "average_precision",
    "accuracy",
    "mrr",
    "micro_f1",
    "micro_precision",
    "micro_recall",
    "macro_f1",
    "mcc",
    "exact",
    "f1",
    "precision",
    "recall",
    "token_accuracy",
    "exact_match",
    "word_f1",
    "rouge1",
    "rouge2",
    "rougeL",
    "bleu",
    "chrf",
    "numbers_read",
    "rmse",
    "mae",
    "r2",
    "spearman",
    "pearson",
    "f1_per_class",
    "f1_per_label",
    "f1_per_type",
)


def sort_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {name: metrics[name] for name in METRIC_ORDER if name in metrics} | dict(metrics)
