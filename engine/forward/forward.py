"""Runs rows through the base with the adapters of their slots, and then through their heads.

Shape letters: R rows, N features of all rows, D hidden width, O outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from engine.adapters.resident import Placed
from engine.forward.kept_rows import KeptRows
from engine.forward.plan import plan_actions, row_group
from engine.model.base import Base
from engine.model.batch import Batch, pack, pad
from engine.ops.segments import Segments
from engine.port import Row
from engine.sites.hooks import Action, Dropout, Sites, bind_dropout

#: for so many tokens that are no row's: those that biases come from
DropoutOf = Callable[[int], Dropout | None]


class ModuleSubset(Protocol):
    """Modules of the base that run on other tokens than those of the rows."""

    def covers(self, path: str) -> bool: ...


def make_batch(base: Base, rows: Sequence[Row], placed: Mapping[int, Placed]) -> Batch:
    by_length = base.packed and base.numerics.device.type == "cpu"
    groups = [
        row_group(row.slot, placed.get(row.slot), row.num_tokens if by_length else None)
        for row in rows
    ]
    if base.packed:
        return pack(rows, base.numerics.device, groups)
    return pad(rows, base.numerics.device, base.pad_id, groups)


@contextmanager
def acting_adapters(
    base: Base,
    sites: Sites,
    batch: Batch,
    placed: Mapping[int, Placed],
    dropout: Dropout | None = None,
    bias_dropout: DropoutOf | None = None,
    kept: KeptRows | None = None,
) -> Iterator[None]:
    """While this lasts, a forward of the batch has each row's own adapter in it."""
    actions: Mapping[str, Sequence[Action]]
    if kept is None:
        actions = plan_actions(batch, placed)
    else:
        actions = {**plan_actions(batch, placed, kept.gets_all), **kept.actions}
    with ExitStack() as stack:
        stack.enter_context(sites.acting(actions, dropout))
        if base.slot_biases is not None:
            of_slot = partial(plan_slot, base.slot_biases, placed, bias_dropout)
            stack.enter_context(base.slot_biases.acting(sites, batch.slots, of_slot))
        yield


def compute_head_logits(
    base: Base,
    hidden: list[Tensor],
    slots: Sequence[int],
    placed: Mapping[int, Placed],
    dropout: Dropout | None = None,
) -> list[Tensor]:
    """Each row's logits, [O] or [tokens, O]; a row of slot 0 answers its hidden states."""
    pooled = _pool_rows(base, hidden, slots, placed)
    results = list(hidden)
    for rows in _rows_by_head(slots, placed):
        head = placed[slots[rows[0]]].head
        own = [hidden[row] if head.per_token else pooled[row][None] for row in rows]
        counts = [len(features) for features in own]
        logits_NO = _logits(
            torch.cat(own).float(), [slots[row] for row in rows], counts, placed, dropout
        )
        answers = torch.split(logits_NO, counts) if head.per_token else logits_NO.unbind()
        for row, answer in zip(rows, answers, strict=True):
            results[row] = answer
    return results


def _rows_by_head(slots: Sequence[int], placed: Mapping[int, Placed]) -> list[list[int]]:
    """Rows whose heads compute together: those of equal layers, or of one adapter that learns."""
    rows_by_head: dict[object, list[int]] = {}
    for row, slot in enumerate(slots):
        if slot in placed:
            own = placed[slot]
            key = slot if own.pool is None else (own.head.key, own.head.per_token)
            rows_by_head.setdefault(key, []).append(row)
    return list(rows_by_head.values())


def _logits(
    features_ND: Tensor,
    slots: Sequence[int],
    counts: Sequence[int],
    placed: Mapping[int, Placed],
    dropout: Dropout | None,
) -> Tensor:
    """[N, O] of heads that compute together; each slot has `counts` features."""
    own = placed[slots[0]]
    if own.pool is None:
        return own.head.logits(features_ND, own.head_weights, dropout)
    if not own.head.layers:
        return features_ND
    segments = Segments(0, slots, counts)
    return own.pool.heads(own.head).logits(features_ND, segments, own.pool.product)


def _pool_rows(
    base: Base, hidden: list[Tensor], slots: Sequence[int], placed: Mapping[int, Placed]
) -> dict[int, Tensor]:
    """One [D] per row whose head wants one; the base's pooler runs once for all that need it."""
    heads = {
        i: placed[s].head
        for i, s in enumerate(slots)
        if s in placed and not placed[s].head.per_token
    }
    features = {i: head.pool(hidden[i]) for i, head in heads.items()}
    through_pooler = [i for i, head in heads.items() if head.base_pooler]
    if through_pooler:
        pooled_RD = base.pool(torch.stack([features[i] for i in through_pooler]))
        features |= dict(zip(through_pooler, pooled_RD, strict=True))
    return features


def plan_slot(
    part: ModuleSubset,
    placed: Mapping[int, Placed],
    dropout: DropoutOf | None,
    slot: int,
    num_tokens: int,
) -> Mapping[str, Sequence[Action]]:
    """What one slot's adapter does, in a part of the base, to tokens that are all its own."""
    if slot not in placed:
        return {}
    tokens = pack([Row.of(ids=[0] * num_tokens, slot=slot)], torch.device("cpu"))
    actions = plan_actions(tokens, {slot: placed[slot]}, part.covers)
    return actions if dropout is None else bind_dropout(actions, dropout(num_tokens))
