"""Evaluates rows in a slot with `Predict`, the step that also serves, and scores the answers. Does
not touch training state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from engine.heads import PREDICTION_HEADS, is_generation
from engine.port import Array, Predict, Predicted
from trainer.dataset.batches import prediction_batches
from trainer.engine_client import EngineSession, error_of
from trainer.evaluation.activations import fill
from trainer.evaluation.generate import generate_answers
from trainer.heads import HEAD_DATA
from trainer.heads.encoded import EncodedRow
from trainer.heads.head_data import Answer, Logits
from trainer.metrics.metrics import Metrics
from trainer.metrics.order import sort_metrics

#: compared from left to right: the task's metric, the higher the better, then the loss
DevScore = tuple[float, ...]

_NONE = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Metrics, the mean loss where the head has one, and the answers behind them in the order of
    the rows.
    """

    metrics: Metrics
    loss: float | None
    answers: Sequence[Answer]
    #: what the answers say, as the head's metrics compare them
    predictions: Sequence[Any]


def evaluate(
    session: EngineSession, rows: Sequence[EncodedRow], head: dict[str, Any], slot: int
) -> Evaluation:
    """Judge what the training slot answers. Raises the engine's error when a row has no answer."""
    answers = predict(session, rows, head, slot, keyed=True)
    predictions = read_predictions(session, rows, answers, head)
    truth = [row.example.label for row in rows]
    return Evaluation(
        metrics=sort_metrics(HEAD_DATA[head["kind"]].measure(truth, predictions)),
        loss=_loss(rows, answers, head),
        answers=answers,
        predictions=predictions,
    )


def predict(
    session: EngineSession,
    rows: Sequence[EncodedRow],
    head: dict[str, Any],
    slot: int,
    place: dict[int, str] | None = None,
    *,
    keyed: bool = False,
) -> Sequence[Answer]:
    """Logits, or generated tokens, in the order of the rows.

    `place` goes with every step, in case another client placed something else in between. Keyed
    rows start from their frozen activations, which are filled first.
    """
    if is_generation(head["kind"]):
        return generate_answers(session, rows, head, slot, place)
    if keyed:
        fill(session, rows, slot)
    pieces = [piece for row in rows for piece in row.pieces]
    logits: list[Logits] = [_NONE] * len(pieces)
    batches = prediction_batches([len(piece.ids) for piece in pieces])
    steps = (
        Predict(
            rows=[pieces[index].row(slot) for index in batch],
            place=place or {},
            keys=[pieces[index].key for index in batch] if keyed else [],
            background=True,
        )
        for batch in batches
    )
    for batch, predicted in zip(batches, session.stream(steps, Predicted), strict=True):
        for index, answer in zip(batch, predicted.rows, strict=True):
            if not isinstance(answer, Array):
                raise error_of(answer)
            logits[index] = answer.numpy()
    in_order, kind = iter(logits), PREDICTION_HEADS[head["kind"]]
    return [
        kind.merge_logits(list(islice(in_order, len(row.pieces))), row.encodings) for row in rows
    ]


def read_predictions(
    session: EngineSession,
    rows: Sequence[EncodedRow],
    answers: Sequence[Answer],
    head: dict[str, Any],
) -> list[Any]:
    """The prediction for each row: a label, a number, one tag per word, a text and so on."""
    return HEAD_DATA[head["kind"]].guesses(rows, answers, head, session.prompter)


def dev_score(
    head: dict[str, Any], dev: Evaluation, training_loss: float | None = None
) -> DevScore:
    """The higher the better. Between equal metrics the lower loss is the better one.

    Text has no loss on dev rows. While nothing of it is right, the training loss tells the epochs
    apart: else the first of them, which has learned least, would be the best.
    """
    data = HEAD_DATA[head["kind"]]
    value_on_dev = next(dev.metrics[name] for name in data.metrics if name in dev.metrics)
    worst = -math.inf if data.more_is_better else math.inf
    value = worst if value_on_dev is None else float(value_on_dev)
    ties = [float(dev.metrics.get(name) or 0.0) for name in data.tie_breaks]
    loss = dev.loss
    if loss is None and ties and not any(ties):
        loss = training_loss
    score = value if data.more_is_better else -value
    return (score, *ties, -math.inf if loss is None else -loss)


def _loss(
    rows: Sequence[EncodedRow], answers: Sequence[Answer], head: dict[str, Any]
) -> float | None:
    data = HEAD_DATA[head["kind"]]
    losses = [data.loss(answer, row) for row, answer in zip(rows, answers, strict=True)]
    known = [loss for loss in losses if loss is not None]
    return float(np.mean(known)) if known else None
