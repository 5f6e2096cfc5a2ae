"""Runs rows through the base with the adapters of their slots, and then through their heads.

Shape letters: R rows, D hidden width, O outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Protocol

import torch
from torch import Tensor

from engine.adapters.resident import Placed
from engine.forward.plan import plan_actions, row_group
from engine.model.base import Base
from engine.model.batch import Batch, pack, pad
from engine.port import Row
from engine.sites.hooks import Action, Dropout, Sites, bind_dropout

#: for so many tokens that are no row's: those that biases come from
DropoutOf = Callable[[int], Dropout | None]


class ModuleSubset(Protocol):
    """Modules of the base that run on other tokens than those of the rows."""

    def covers(self, path: str) -> bool: ...


def make_batch(base: Base, rows: Sequence[Row], placed: Mapping[int, Placed]) -> Batch:
    groups = [row_group(row.slot, placed.get(row.slot)) for row in rows]
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
) -> Iterator[None]:
    """While this lasts, a forward of the batch has each row's own adapter in it."""
    with ExitStack() as stack:
        stack.enter_context(sites.acting(plan_actions(batch, placed), dropout))
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
    results: list[Tensor] = []
    for slot, group in groupby(range(len(hidden)), key=slots.__getitem__):
        rows = list(group)
        if slot not in placed:
            results += [hidden[row] for row in rows]
        elif placed[slot].head.per_token:
            lengths = [len(hidden[row]) for row in rows]
            logits = _logits(placed[slot], torch.cat([hidden[row] for row in rows]), dropout)
            results += torch.split(logits, lengths)
        else:
            features_RD = torch.stack([pooled[row] for row in rows])
            results += _logits(placed[slot], features_RD, dropout).unbind()
    return results


def _logits(placed: Placed, features: Tensor, dropout: Dropout | None) -> Tensor:
    return placed.head.logits(features.float(), placed.head_weights, dropout)


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
    own = placed[slot]
    inside = {site: effect for site, effect in own.effects.items() if part.covers(site)}
    tokens = pack([Row(ids=[0] * num_tokens, slot=slot)], torch.device("cpu"))
    actions = plan_actions(tokens, {slot: replace(own, effects=inside)})
    return actions if dropout is None else bind_dropout(actions, dropout(num_tokens))
