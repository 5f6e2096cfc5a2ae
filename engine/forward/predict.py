"""Predict: rows of any slots through one forward; a row that cannot be computed fails alone."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import torch

from engine.adapters.head_layers import POOLINGS
from engine.adapters.resident import Placed
from engine.errors import BadRow, NonFiniteResult
from engine.failures import is_device_lost, row_failure
from engine.forward.forward import compute_head_logits, make_batch
from engine.forward.prefix import CachedRows
from engine.forward.shared_trunk import hidden_rows
from engine.model.base import Base
from engine.port import Array, Failure, Predicted, Row
from engine.sites.hooks import Sites

Answers = list[Array | Failure]


@torch.inference_mode()
def predict(
    base: Base,
    sites: Sites,
    rows: Sequence[Row],
    placed: Mapping[int, Placed],
    exact: bool,
    cached: CachedRows | None = None,
) -> Predicted:
    """One answer per row, in the order given."""
    started = time.perf_counter()
    failures = {
        i: failure
        for i, row in enumerate(rows)
        if (failure := check_row(row, base) or _check_head(row, placed))
    }
    good = [i for i in range(len(rows)) if i not in failures]
    batches = [[i] for i in good] if exact else [good] if good else []
    answers: dict[int, Array | Failure] = dict(failures)
    for batch in batches:
        own = cached.of(batch) if cached is not None else None
        batch_answers = _answer(base, sites, [rows[i] for i in batch], placed, own)
        answers |= dict(zip(batch, batch_answers, strict=True))
    return Predicted(
        rows=[answers[i] for i in range(len(rows))],
        forward_s=time.perf_counter() - started,
        num_tokens=sum(len(rows[i].ids) for i in good),
        num_adapters=len({rows[i].slot for i in good if rows[i].slot}),
    )


def _answer(
    base: Base,
    sites: Sites,
    rows: Sequence[Row],
    placed: Mapping[int, Placed],
    cached: CachedRows | None,
) -> Answers:
    """Halves the batch when the model's code raises, so that only the row at fault fails."""
    try:
        return _forward(base, sites, rows, placed, cached)
    except (RuntimeError, ValueError, IndexError) as error:
        if is_device_lost(error):  # no row is to blame, and none would ever go well again
            raise
        if len(rows) == 1:
            return [row_failure(error)]
    half = len(rows) // 2
    return [
        answer
        for part in (range(half), range(half, len(rows)))
        for answer in _answer(
            base, sites, [rows[i] for i in part], placed, cached.of(part) if cached else None
        )
    ]


def _forward(
    base: Base,
    sites: Sites,
    rows: Sequence[Row],
    placed: Mapping[int, Placed],
    cached: CachedRows | None,
) -> Answers:
    batch = make_batch(base, rows, placed)
    hidden = hidden_rows(base, sites, rows, batch, placed, cached)
    answers: Answers = [Failure(code=BadRow.code, message="the row was lost")] * len(rows)
    for position, logits in zip(
        batch.order, compute_head_logits(base, hidden, batch.slots, placed), strict=True
    ):
        pooling = rows[position].pooling
        answers[position] = _array(logits if pooling is None else POOLINGS[pooling](logits))
    return answers


def _array(logits: torch.Tensor) -> Array | Failure:
    array = logits.float().cpu().numpy()
    # the sum of finite float32 logits is finite in float64, so one reduction tells
    if not math.isfinite(array.sum(dtype="float64")):
        return Failure(
            code=NonFiniteResult.code,
            message="the version's answer to this input is not a finite number",
        )
    return Array.of(array)


def _check_head(row: Row, placed: Mapping[int, Placed]) -> Failure | None:
    if row.slot not in placed or not placed[row.slot].head.can_generate:
        return None
    return Failure(
        code=BadRow.code,
        message=f"slot {row.slot} holds a version that generates text token by token",
    )


def check_row(row: Row, base: Base) -> Failure | None:
    if not row.ids:
        return Failure(code=BadRow.code, message="the row has no tokens")
    if row.type_ids is not None and len(row.type_ids) != len(row.ids):
        return Failure(
            code=BadRow.code,
            message=f"the row has {len(row.ids)} tokens and {len(row.type_ids)} token types",
        )
    if len(row.ids) > base.max_tokens:
        return Failure(
            code=BadRow.code,
            message=f"the row has {len(row.ids)} tokens; the base takes at most {base.max_tokens}",
        )
    if row.pooling is not None and (row.slot or row.pooling not in POOLINGS):
        return Failure(
            code=BadRow.code,
            message=f"a row of slot {row.slot} asks for the pooling {row.pooling!r}; "
            f"rows of slot 0 may ask for one of {', '.join(POOLINGS)}",
        )
    if min(row.ids) < 0 or max(row.ids) >= base.vocabulary_size:
        return Failure(
            code=BadRow.code,
            message=f"the row has token ids outside the vocabulary of {base.vocabulary_size}",
        )
    return None
