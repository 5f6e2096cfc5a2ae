"""Structs as the client reads them: whole numbers, and the order of their fields."""

from __future__ import annotations

from google.protobuf.struct_pb2 import Struct

from adapterd.wire import structs
from trainer.metrics.order import METRIC_ORDER


def _read(**fields: object) -> list[str]:
    message = Struct()
    message.update({"fields": fields})
    return list(structs.read_struct(message)["fields"])


def test_metrics_are_read_in_the_order_of_the_trainer() -> None:
    assert structs.METRIC_ORDER == METRIC_ORDER
    assert _read(mcc=1, f1_per_class={}, macro_f1=0.5, accuracy=1) == [
        "accuracy", "macro_f1", "mcc", "f1_per_class",
    ]  # fmt: skip


def test_other_fields_are_read_in_the_order_of_their_names() -> None:
    assert _read(seeds=1, epochs=2, rows=3) == ["epochs", "rows", "seeds"]


def test_whole_numbers_are_integers_again() -> None:
    message = Struct()
    message.update({"step": 3, "loss": 0.5, "steps": [1, 2]})
    assert structs.read_struct(message) == {"loss": 0.5, "step": 3, "steps": [1, 2]}
