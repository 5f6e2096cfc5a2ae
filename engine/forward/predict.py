"""Predict: rows of any slots through one forward; a row that cannot be computed fails alone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch

from engine.adapters.head_layers import POOLINGS
from engine.adapters.resident import Placed
from engine.errors import BadRow
from engine.failures import is_device_lost, row_failure
from engine.forward.forward import compute_head_logits, make_batch
from engine.forward.predict_graphs import PredictGraphs
from engine.forward.prefix import CachedRows
from engine.forward.readback import Answers, read_back
from engine.forward.shared_trunk import hidden_rows
from engine.model.base import Base
from engine.port import TOKEN_BYTES, Array, Failure, Predicted, Row
from engine.sites.hooks import Sites

NO_FAILURES: Mapping[int, Failure] = MappingProxyType({})


@torch.inference_mode()
def predict(
    base: Base,
    sites: Sites,
    rows: Sequence[Row],
    placed: Mapping[int, Placed],
    *,
    exact: bool,
    slot_failures: Mapping[int, Failure] = NO_FAILURES,
    cached: CachedRows | None = None,
    graphs: PredictGraphs | None = None,
) -> Predicted:
    """One answer per row, in the order given. `slot_failures` tell why slots are empty."""
    started = time.perf_counter()
    failures = check_rows(rows, base)
    failures |= {
        i: slot_failures[row.slot] for i, row in enumerate(rows) if row.slot in slot_failures
    }
    failures |= {
        i: failure
        for i, row in enumerate(rows)
        if i not in failures and (failure := _check_head(row, placed))
    }
    good = [i for i in range(len(rows)) if i not in failures]
    batches = [[i] for i in good] if exact else [good] if good else []
    answers: dict[int, Array | Failure] = dict(failures)
    for batch in batches:
        own = cached.of(batch) if cached is not None else None
        batch_answers = _answer(base, sites, [rows[i] for i in batch], placed, own, graphs)
        answers |= dict(zip(batch, batch_answers, strict=True))
    return Predicted(
        rows=[answers[i] for i in range(len(rows))],
        forward_s=time.perf_counter() - started,
        num_tokens=_count_computed([rows[i] for i in good]),
        num_adapters=len({rows[i].slot for i in good if rows[i].slot}),
    )


def _count_computed(rows: Sequence[Row]) -> int:
    """Tokens that were computed: equal texts of the bare base are computed once."""
    bare = {(row.tokens, row.types): row.num_tokens for row in rows if not row.slot}
    return sum(bare.values()) + sum(row.num_tokens for row in rows if row.slot)


def _answer(
    base: Base,
    sites: Sites,
    rows: Sequence[Row],
    placed: Mapping[int, Placed],
    cached: CachedRows | None,
    graphs: PredictGraphs | None,
) -> Answers:
    """Halves the batch when the model's code raises, so that only the row at fault fails."""
    try:
        return _forward(base, sites, rows, placed, cached, graphs)
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
            base,
            sites,
            [rows[i] for i in part],
            placed,
            cached.of(part) if cached else None,
            graphs,
        )
    ]


def _forward(
    base: Base,
    sites: Sites,
    rows: Sequence[Row],
    placed: Mapping[int, Placed],
    cached: CachedRows | None,
    graphs: PredictGraphs | None,
) -> Answers:
    batch = make_batch(base, rows, placed)
    hidden = hidden_rows(base, sites, rows, batch, placed, cached, graphs)
    results = [
        logits if (pooling := rows[position].pooling) is None else POOLINGS[pooling](logits)
        for position, logits in zip(
            batch.order, compute_head_logits(base, hidden, batch.slots, placed), strict=True
        )
    ]
    answers = dict(zip(batch.order, read_back(results), strict=True))
    return [answers[i] for i in range(len(rows))]


def _check_head(row: Row, placed: Mapping[int, Placed]) -> Failure | None:
    if row.slot not in placed or not placed[row.slot].head.can_generate:
        return None
    return Failure(
        code=BadRow.code,
        message=f"slot {row.slot} holds a version that generates text token by token",
    )


def check_rows(rows: Sequence[Row], base: Base) -> dict[int, Failure]:
    """Why some rows cannot be computed, by their number."""
    failures = {i: failure for i, row in enumerate(rows) if (failure := _check_shape(row, base))}
    whole = [i for i in range(len(rows)) if i not in failures]
    limit = base.vocabulary_size
    if whole and _largest_id([rows[i] for i in whole]) >= limit:
        outside = Failure(
            code=BadRow.code, message=f"the row has token ids outside the vocabulary of {limit}"
        )
        failures |= {i: outside for i in whole if _largest_id([rows[i]]) >= limit}
    return failures


def _largest_id(rows: Sequence[Row]) -> int:
    """Read without a sign, so that a negative id is larger than any vocabulary."""
    return int(np.frombuffer(b"".join([row.tokens for row in rows]), np.uint32).max())


def _check_shape(row: Row, base: Base) -> Failure | None:
    if not row.tokens:
        return Failure(code=BadRow.code, message="the row has no tokens")
    if len(row.tokens) % TOKEN_BYTES:
        return Failure(
            code=BadRow.code,
            message=f"the row's tokens take {len(row.tokens)} bytes; each takes {TOKEN_BYTES}",
        )
    if row.types and len(row.types) != len(row.tokens):
        types = len(row.types) // TOKEN_BYTES
        return Failure(
            code=BadRow.code,
            message=f"the row has {row.num_tokens} tokens and {types} token types",
        )
    if row.num_tokens > base.max_tokens:
        return Failure(
            code=BadRow.code,
            message=f"the row has {row.num_tokens} tokens; the base takes at most "
            f"{base.max_tokens}",
        )
    if row.pooling is not None and (row.slot or row.pooling not in POOLINGS):
        return Failure(
            code=BadRow.code,
            message=f"a row of slot {row.slot} asks for the pooling {row.pooling!r}; "
            f"rows of slot 0 may ask for one of {', '.join(POOLINGS)}",
        )
    return None
