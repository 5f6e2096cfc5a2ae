"""One packed forward of scheduled chunks, each over its sequence's own blocks.

Knows which adapters act where and what attention reads; nothing of which sequence has which blocks.

Shape letters: T tokens of all rows, W rows that decode, D hidden width, V words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor

from engine.adapters.resident import Placed
from engine.forward.forward import make_batch
from engine.forward.plan import plan_actions
from engine.generation.persistent_batch import NO_GROUP, PersistentBatch
from engine.generation.sequence import ScheduledChunk
from engine.kv_cache.chunks import Chunk
from engine.kv_cache.gathered_attention import GatheredKVAttention
from engine.kv_cache.pool import KeyValuePool
from engine.model.base import Base
from engine.model.batch import Batch, pack
from engine.port import Row
from engine.sites.hooks import Action, Sites


class PackedForward(Protocol):
    """How scheduled chunks are computed."""

    def logits(
        self,
        scheduled: Sequence[ScheduledChunk],
        chunks: Sequence[Chunk],
        active: Mapping[int, Placed],
    ) -> Tensor:
        """[W, V] of the scheduled chunks that decode a token, in order. `chunks` are their blocks;
        `active` are the adapters, by slot, of all sequences that decode now.
        """
        ...

    def clear(self) -> None:
        """No sequence is left."""
        ...


class EagerForward:
    """Builds everything for each forward, except the groups of adapters."""

    def __init__(self, base: Base, sites: Sites, pool: KeyValuePool, *, exact: bool) -> None:
        self._base, self._sites, self._pool, self._exact = base, sites, pool, exact
        self._persistent = PersistentBatch()

    @torch.inference_mode()
    def logits(
        self,
        scheduled: Sequence[ScheduledChunk],
        chunks: Sequence[Chunk],
        active: Mapping[int, Placed],
    ) -> Tensor:
        batch, actions = self._batch(scheduled, active)
        kv_attention = GatheredKVAttention(self._pool, [chunks[i] for i in batch.order])
        with self._sites.acting(actions), self._base.prepacked.of(batch.ids.numel()):
            hidden = self._base.forward(with_positions(batch, scheduled), kv_attention=kv_attention)
        last_WD = last_hidden(hidden[0], batch, scheduled)
        with self._base.prepacked.of(len(last_WD)):
            return self._base.compute_logits(last_WD)

    def clear(self) -> None:
        self._persistent.clear()

    def _batch(
        self, scheduled: Sequence[ScheduledChunk], active: Mapping[int, Placed]
    ) -> tuple[Batch, Mapping[str, Sequence[Action]]]:
        """Rows by lane, and the actions on them. In exact mode rows are planned by themselves."""
        rows = rows_of(scheduled)
        if self._exact:
            placed = {t.row.slot: t.row.placed for t in scheduled if t.row.placed is not None}
            batch = make_batch(self._base, rows, placed)
            return batch, plan_actions(batch, placed)
        lanes = self._persistent.assign_lanes(active)
        groups = [lanes.get(row.slot, NO_GROUP) for row in rows]
        batch = pack(rows, self._pool.device, groups)
        return batch, self._persistent.plan(batch, lanes)


def rows_of(scheduled: Sequence[ScheduledChunk]) -> list[Row]:
    return [Row(ids=item.row.ids[item.start : item.stop], slot=item.row.slot) for item in scheduled]


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
