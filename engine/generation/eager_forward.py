"""One packed forward of scheduled chunks, each over its sequence's own blocks.

Knows which adapters act where and what attention reads; nothing of which sequence has which blocks.

Shape letters: T tokens of all rows, W rows that decode, D hidden width, V words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor

from engine.adapters.resident import Placed
from engine.forward.forward import make_batch
from engine.forward.plan import plan_actions
from engine.generation.sequence import ScheduledChunk, SequenceState
from engine.kv_cache.chunks import Chunk
from engine.kv_cache.gathered_attention import GatheredKVAttention
from engine.kv_cache.pool import KeyValuePool
from engine.model.base import Base
from engine.model.batch import Batch
from engine.port import Row
from engine.sites.hooks import Sites


class PackedForward(Protocol):
    """How scheduled chunks are computed."""

    def logits(self, scheduled: Sequence[ScheduledChunk], chunks: Sequence[Chunk]) -> Tensor:
        """[W, V] of the scheduled chunks that decode a token, in order. `chunks` are their
        blocks.
        """
        ...


class EagerForward:
    """Builds everything for each forward."""

    def __init__(self, base: Base, sites: Sites, pool: KeyValuePool) -> None:
        self._base, self._sites, self._pool = base, sites, pool

    @torch.inference_mode()
    def logits(self, scheduled: Sequence[ScheduledChunk], chunks: Sequence[Chunk]) -> Tensor:
        placed = placed_by_slot([item.row for item in scheduled])
        batch = make_batch(self._base, rows_of(scheduled), placed)
        kv_attention = GatheredKVAttention(self._pool, [chunks[i] for i in batch.order])
        with self._sites.acting(plan_actions(batch, placed)):
            hidden = self._base.forward(with_positions(batch, scheduled), kv_attention=kv_attention)
        return self._base.compute_logits(last_hidden(hidden[0], batch, scheduled))


def placed_by_slot(rows: Sequence[SequenceState]) -> dict[int, Placed]:
    return {row.slot: row.placed for row in rows if row.placed is not None}


def rows_of(scheduled: Sequence[ScheduledChunk]) -> list[Row]:
    return [
        Row.of(ids=item.row.ids[item.start : item.stop], slot=item.row.slot) for item in scheduled
    ]


def with_positions(batch: Batch, scheduled: Sequence[ScheduledChunk]) -> Batch:
    """With positions that count on from what each row has cached."""
    ordered = [scheduled[i] for i in batch.order]
    places = [place for item in ordered for place in range(item.start, item.stop)]
    return replace(batch, positions=torch.tensor(places, device=batch.ids.device)[None])


def last_hidden(hidden_TD: Tensor, batch: Batch, scheduled: Sequence[ScheduledChunk]) -> Tensor:
    """Hidden states [W, D] after the last token of each chunk that decodes a token, in order."""
    ends = dict(zip(batch.order, accumulate(batch.lengths), strict=True))
    last_positions = [ends[i] - 1 for i, item in enumerate(scheduled) if item.samples_token]
    last_W = torch.tensor(last_positions, dtype=torch.int64, device=hidden_TD.device)
    return hidden_TD.index_select(0, last_W)
