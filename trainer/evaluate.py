"""Rows through a slot by `Predict`, the path that serves, and what the answers are worth. Touches
no training state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.heads import head_kind
from engine.heads.tag import TagHead
from engine.port import Array, EnginePort, Predict, Predicted, Result
from trainer import metrics
from trainer.ask import await_answer, error_of
from trainer.batches import prediction_batches
from trainer.encode import EncodedRow

Logits = NDArray[np.float32]

_IN_FLIGHT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Metrics, the mean loss where the head has one, and the logits behind them in the order of the
    rows.
    """

    metrics: metrics.Metrics
    loss: float | None
    logits: list[Logits]


def evaluate(
    port: EnginePort, rows: Sequence[EncodedRow], head: dict[str, Any], slot: int
) -> Evaluation:
    """Judge what `slot` answers. Raises the engine's error when a row has no answer."""
    logits = predict(port, rows, slot)
    truth = [row.example.label for row in rows]
    return Evaluation(
        metrics=metrics.measure(head["kind"], truth, guesses(rows, logits, head)),
        loss=_loss(rows, logits, head),
        logits=logits,
    )


def predict(
    port: EnginePort, rows: Sequence[EncodedRow], slot: int, place: dict[int, str] | None = None
) -> list[Logits]:
    """Logits in the order of the rows; `place` goes with every step, so that nothing placed between
    is in the way.
    """
    answers: list[Logits | None] = [None] * len(rows)
    waiting: deque[tuple[list[int], Future[Result]]] = deque()
    for batch in prediction_batches([len(row.ids) for row in rows]):
        step = Predict(rows=[rows[index].row(slot) for index in batch], place=place or {})
        waiting.append((batch, port.submit(step)))
        if len(waiting) >= _IN_FLIGHT:
            _collect(*waiting.popleft(), answers)
    for batch, future in waiting:
        _collect(batch, future, answers)
    return [answer for answer in answers if answer is not None]


def guesses(
    rows: Sequence[EncodedRow], logits: Sequence[Logits], head: dict[str, Any]
) -> list[Any]:
    """What each row is answered with: a label, a number or one tag per word."""
    kind = head_kind(head)
    if isinstance(kind, TagHead):
        return [
            kind.word_tags(answer, head, row.encoding, len(row.example.words))
            for row, answer in zip(rows, logits, strict=True)
            if row.encoding is not None
        ]
    if head["kind"] == "regress":
        return [float(answer[0]) * head["std"] + head["mean"] for answer in logits]
    return [head["labels"][int(answer.argmax())] for answer in logits]


def _collect(batch: list[int], future: Future[Result], answers: list[Logits | None]) -> None:
    for index, answer in zip(batch, await_answer(future, Predicted).rows, strict=True):
        if not isinstance(answer, Array):
            raise error_of(answer)
        answers[index] = answer.numpy()


def _loss(
    rows: Sequence[EncodedRow], logits: Sequence[Logits], head: dict[str, Any]
) -> float | None:
    if head["kind"] != "classify" or not rows:
        return None
    each = [
        metrics.cross_entropy(answer, row.target) for row, answer in zip(rows, logits, strict=True)
    ]
    return float(np.mean(each))
