"""Protobuf Structs as plain JSON values. Knows no message of adapterd."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

#: a Struct keeps no order, so the client lists metrics in the server's; a test compares the two
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


def read_struct(message: Message) -> dict[str, Any]:
    """The Struct's fields: metrics first and in their order, then the others by name. A Struct has
    doubles only, so whole numbers become integers again.
    """
    fields: dict[str, Any] = _restore(MessageToDict(message))
    return fields


def _restore(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _restore(value[name]) for name in sorted(value, key=_place)}
    if isinstance(value, list):
        return [_restore(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _place(name: str) -> tuple[int, str]:
    is_metric = name in METRIC_ORDER
    return (METRIC_ORDER.index(name) if is_metric else len(METRIC_ORDER), name)
