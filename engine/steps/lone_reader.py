"""Rows read on one by one, each over a stock cache of its own: bases that cannot be packed.

Shape letters: V words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from engine.base import Base
from engine.kv_cache import Memory, SourceMemory, StockKeyValues
from engine.plan import plan
from engine.port import Row
from engine.resident import Placed
from engine.seq2seq import both, encoded, start_id, target_batch, written_on
from engine.sites import Sites
from engine.steps.forward import make_batch
from engine.steps.running import Running, Turn


class LoneReader:
    """A row reads its whole prompt at once; beside an encoder, the source."""

    num_blocks = used_blocks = 0

    def __init__(self, base: Base, sites: Sites) -> None:
        self._base, self._sites = base, sites
        self._memories: dict[int, Memory] = {}

    def admit(self, row: Running) -> None:
        beside = self._base.family.architecture == "seq2seq"
        self._memories[row.key] = (
            SourceMemory() if beside else StockKeyValues(self._base.model.config)
        )

    def forget(self, key: int) -> None:
        self._memories.pop(key, None)

    def turns(self, rows: Sequence[Running], max_tokens: int) -> list[list[Turn]]:
        turns, left = [], max_tokens
        for row in rows:
            start = len(row.ids) - 1 if row.num_written else 0
            turn = Turn(row=row, start=start, count=len(row.ids) - start)
            prompt = 0 if row.num_written else turn.count
            # a prompt longer than what all may read is read all the same, with no other
            if prompt <= left or left == max_tokens:
                left -= prompt
                turns.append([turn])
        return turns

    @torch.inference_mode()
    def read(self, turns: Sequence[Turn]) -> Tensor:
        """Logits [1, V]."""
        (turn,) = turns
        row = turn.row
        memory = self._memories[row.key]
        placed = {} if row.placed is None else {row.slot: row.placed}
        if isinstance(memory, SourceMemory):
            return self._translated(turn, memory, placed)
        batch = make_batch(self._base, [Row(ids=row.ids[turn.start :], slot=row.slot)], placed)
        batch = replace(batch, positions=batch.positions + turn.start)
        with self._sites.acting(plan(batch, placed)):
            hidden = self._base.forward(batch, cache=memory.cache)
        return self._base.vocabulary(hidden[:, -1])

    def _translated(self, turn: Turn, memory: SourceMemory, placed: Mapping[int, Placed]) -> Tensor:
        """Of a row whose source an encoder reads first."""
        slot, unread = turn.row.slot, turn.row.ids[turn.start :]
        if memory.source is None:
            memory.source = make_batch(self._base, [Row(ids=unread, slot=slot)], placed)
            with self._sites.acting(plan(memory.source, placed)):
                memory.encoded = encoded(self._base, memory.source)
            unread = [start_id(self._base)]
        target = target_batch(self._base, [unread], [slot])
        with self._sites.acting(both(self._base, memory.source, target, placed)):
            return written_on(self._base, target, memory)
