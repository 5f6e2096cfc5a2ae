"""Runs sequences one by one, each with a stock cache of its own, for bases that cannot be packed.

Shape letters: V words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from transformers import DynamicCache

from engine.forward.forward import make_batch
from engine.forward.plan import plan_actions
from engine.generation.sequence import ScheduledChunk, SequenceState
from engine.model.base import Base
from engine.port import Row
from engine.sites.hooks import Sites


class SingleRunner:
    """One forward per row; a prompt is computed in one chunk."""

    num_blocks = used_blocks = 0

    def __init__(self, base: Base, sites: Sites) -> None:
        self._base, self._sites = base, sites
        self._caches: dict[int, DynamicCache] = {}

    def admit(self, row: SequenceState) -> None:
        self._caches[row.key] = DynamicCache(config=self._base.model.config)

    def forget(self, key: int) -> None:
        self._caches.pop(key, None)

    def schedule(
        self, rows: Sequence[SequenceState], max_tokens: int
    ) -> list[list[ScheduledChunk]]:
        scheduled, left = [], max_tokens
        for row in rows:
            start = len(row.ids) - 1 if row.num_generated else 0
            item = ScheduledChunk(row=row, start=start, count=len(row.ids) - start)
            prompt = 0 if row.num_generated else item.count
            # a prompt longer than the budget is computed too, as the only prompt of its step
            if prompt <= left or left == max_tokens:
                left -= prompt
                scheduled.append([item])
        return scheduled

    @torch.inference_mode()
    def run(self, scheduled: Sequence[ScheduledChunk]) -> Tensor:
        """Logits [1, V]."""
        (item,) = scheduled
        row = item.row
        placed = {} if row.placed is None else {row.slot: row.placed}
        batch = make_batch(self._base, [Row.of(ids=row.ids[item.start :], slot=row.slot)], placed)
        batch = replace(batch, positions=batch.positions + item.start)
        with self._sites.acting(plan_actions(batch, placed)):
            hidden = self._base.forward(batch, cache=self._caches[row.key])
        return self._base.compute_logits(hidden[:, -1])
