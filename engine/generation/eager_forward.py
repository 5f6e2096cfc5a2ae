"""One packed forward of rows that read on, each over its own blocks.

Knows what acts where and what attention looks back on; nothing of who has which blocks.

Shape letters: T tokens of all rows, W rows that write, D hidden width, V words of the vocabulary.
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
from engine.generation.persistent_batch import STANDING, PersistentBatch
from engine.generation.sequence import ScheduledChunk
from engine.kv_cache.chunks import Chunk
from engine.kv_cache.gathered_attention import GatheredKVAttention
from engine.kv_cache.pool import KeyValuePool
from engine.model.base import Base
from engine.model.batch import Batch, pack
from engine.port import Row
from engine.sites.hooks import Action, Sites


class PackedForward(Protocol):
    """How turns are computed."""

    def logits(
        self,
        turns: Sequence[ScheduledChunk],
        readings: Sequence[Chunk],
        sitting: Mapping[int, Placed],
    ) -> Tensor:
        """[W, V] of those turns that write, in order. `readings` are the turns' own; `sitting` are
        the adapters, by slot, of all rows that write now.
        """
        ...

    def clear(self) -> None:
        """Nobody writes any more."""
        ...


class EagerForward:
    """Everything is made anew for each forward, but for the adapters' benches."""

    def __init__(self, base: Base, sites: Sites, pool: KeyValuePool, *, exact: bool) -> None:
        self._base, self._sites, self._pool, self._exact = base, sites, pool, exact
        self._seating = PersistentBatch()

    @torch.inference_mode()
    def logits(
        self,
        turns: Sequence[ScheduledChunk],
        readings: Sequence[Chunk],
        sitting: Mapping[int, Placed],
    ) -> Tensor:
        batch, actions = self._batch(turns, sitting)
        lookback = GatheredKVAttention(self._pool, [readings[i] for i in batch.order])
        with self._sites.acting(actions), self._base.narrow.of(batch.ids.numel()):
            hidden = self._base.forward(moved(batch, turns), kept=lookback)
        last_WD = last(hidden[0], batch, turns)
        with self._base.narrow.of(len(last_WD)):
            return self._base.vocabulary(last_WD)

    def clear(self) -> None:
        self._seating.clear()

    def _batch(
        self, turns: Sequence[ScheduledChunk], sitting: Mapping[int, Placed]
    ) -> tuple[Batch, Mapping[str, Sequence[Action]]]:
        """Rows by seat, and what acts on them; for the same bits in any company, by themselves."""
        rows = rows_of(turns)
        if self._exact:
            placed = {t.row.slot: t.row.placed for t in turns if t.row.placed is not None}
            batch = make_batch(self._base, rows, placed)
            return batch, plan_actions(batch, placed)
        seats = self._seating.seats(sitting)
        groups = [seats.get(row.slot, STANDING) for row in rows]
        batch = pack(rows, self._pool.device, groups)
        return batch, self._seating.plan(batch, seats)


def rows_of(turns: Sequence[ScheduledChunk]) -> list[Row]:
    return [Row(ids=turn.row.ids[turn.start : turn.stop], slot=turn.row.slot) for turn in turns]


def moved(batch: Batch, turns: Sequence[ScheduledChunk]) -> Batch:
    """Positions count on from what each row has read."""
    ordered = [turns[i] for i in batch.order]
    places = [place for turn in ordered for place in range(turn.start, turn.stop)]
    return replace(batch, positions=torch.tensor(places, device=batch.ids.device)[None])


def last(hidden_TD: Tensor, batch: Batch, turns: Sequence[ScheduledChunk]) -> Tensor:
    """Hidden states [W, D] after the last token of each turn that writes, in order of turns."""
    ends = dict(zip(batch.order, accumulate(batch.lengths), strict=True))
    found = [ends[i] - 1 for i, turn in enumerate(turns) if turn.writes]
    chosen = torch.tensor(found, dtype=torch.int64, device=hidden_TD.device)
    return hidden_TD.index_select(0, chosen)
