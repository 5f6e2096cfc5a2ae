"""Runs sequences of a decoder in packed forwards over blocks of keys and values.

Decides which sequences get blocks and which give them up. Which sequences run, and their rank, is
decided outside.

Shape letters: W sequences that decode a token, V words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from engine.errors import BadRow
from engine.generation.eager_forward import PackedForward
from engine.generation.sequence import ScheduledChunk, SequenceState
from engine.kv_cache.block_allocator import BlockAllocator, root_hash
from engine.kv_cache.block_table import BlockTable
from engine.kv_cache.chunks import Chunk
from engine.kv_cache.pool import BLOCK_TOKENS, KeyValuePool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Admitted:
    row: SequenceState
    table: BlockTable


class PackedRunner:
    """The sequences' blocks, and the forwards that fill them.

    When blocks run out, the last-ranked sequences are preempted: their blocks are freed and their
    tokens are computed again later. Sequences that a step does not name belong to another caller:
    only the step's first sequence may preempt them, and only those that began after it, so that two
    callers never preempt each other in turns.
    """

    def __init__(self, pool: KeyValuePool, forwards: PackedForward, *, exact: bool) -> None:
        self._pool, self._forwards, self._exact = pool, forwards, exact
        self._blocks = BlockAllocator(pool.num_blocks, BLOCK_TOKENS)
        self._admitted: dict[int, _Admitted] = {}

    @property
    def num_blocks(self) -> int:
        return self._blocks.num_blocks

    @property
    def used_blocks(self) -> int:
        return self._blocks.num_used

    def admit(self, row: SequenceState) -> None:
        table = BlockTable(self._blocks, self._root(row))
        # its last token is never fed back
        needed = table.lacks(row.num_prompt + row.max_tokens - 1)
        if needed > self.num_blocks:
            raise BadRow(
                f"the row's {row.num_prompt} tokens and the {row.max_tokens} it may write need "
                f"{needed} blocks of keys and values; there are {self.num_blocks}"
            )
        self._admitted[row.key] = _Admitted(row=row, table=table)

    def forget(self, key: int) -> None:
        admitted = self._admitted.pop(key, None)
        if admitted is not None:
            admitted.table.clear()

    # ------------------------------------------------------------ schedule

    def schedule(
        self, rows: Sequence[SequenceState], max_tokens: int
    ) -> list[list[ScheduledChunk]]:
        scheduled: list[ScheduledChunk] = []
        budget, new_blocks = max_tokens, list[int]()
        for rank, row in enumerate(rows):
            table = self._admitted[row.key].table
            if not table.blocks and not self._start(row, table, rank, budget):
                continue
            is_decoding = row.num_generated > 0 and len(row.ids) - table.length == 1
            num_wanted = (
                1
                if is_decoding
                else self._num_to_read(row, table, budget, is_first=budget == max_tokens)
            )
            count = self._make_room(table, num_wanted, rows, rank)
            if count:
                new_blocks += table.grow(table.length + count)
                scheduled.append(ScheduledChunk(row=row, start=table.length, count=count))
                budget -= 0 if is_decoding else count
        self._pool.clear(new_blocks)
        return [[item] for item in scheduled] if self._exact else [scheduled] if scheduled else []

    def _start(self, row: SequenceState, table: BlockTable, rank: int, budget: int) -> bool:
        """Whether a sequence without blocks may start: there must be blocks for all of its tokens,
        and one for each sequence before it, or it would soon be preempted again.
        """
        if budget <= 0:
            return False
        cached = table.reuse(row.ids)
        if rank and table.lacks(len(row.ids)) + rank > self._blocks.num_free:
            table.clear()
            return False
        if not row.num_generated:
            row.num_cached = cached
        return True

    def _num_to_read(
        self, row: SequenceState, table: BlockTable, budget: int, *, is_first: bool
    ) -> int:
        """How many tokens of its prompt a sequence may compute now.

        In exact mode a prompt is never split, and generated tokens are computed one by one, as they
        were at first, so that the bits do not depend on the rest of the batch.
        """
        unread = len(row.ids) - table.length
        if not self._exact:
            return min(unread, budget)
        whole = row.num_prompt if not table.length else 1
        return whole if whole <= budget or is_first else 0

    def _make_room(
        self, table: BlockTable, num_wanted: int, rows: Sequence[SequenceState], rank: int
    ) -> int:
        """How many of the wanted tokens have room, after preempting sequences of lower rank."""
        if table.lacks(table.length + num_wanted) <= self._blocks.num_free:
            return num_wanted
        victims = [self._admitted[row.key].table for row in rows[rank + 1 :]]
        if not rank:
            victims = [*self._strangers(rows), *victims]
        while table.lacks(table.length + num_wanted) > self._blocks.num_free and victims:
            victims.pop().clear()
        room = (len(table.blocks) + self._blocks.num_free) * BLOCK_TOKENS - table.length
        return num_wanted if num_wanted <= room else 0 if self._exact else room

    def _strangers(self, rows: Sequence[SequenceState]) -> list[BlockTable]:
        """Sequences of other callers that began after this step's first, the youngest last."""
        named = {row.key for row in rows}
        others = [
            admitted
            for key, admitted in self._admitted.items()
            if key not in named and admitted.row.number > rows[0].number
        ]
        return [a.table for a in sorted(others, key=lambda admitted: admitted.row.number)]

    # ------------------------------------------------------------ the forward

    def run(self, scheduled: Sequence[ScheduledChunk]) -> Tensor:
        chunks = [self._chunk(item) for item in scheduled]
        logits_WV = self._forwards.logits(scheduled, chunks)
        for item in scheduled:
            self._admitted[item.row.key].table.commit(item.row.ids, item.stop)
        return logits_WV

    def _chunk(self, item: ScheduledChunk) -> Chunk:
        blocks = self._admitted[item.row.key].table.blocks
        return Chunk(blocks=blocks, start=item.start, count=item.count)

    def _root(self, row: SequenceState) -> bytes | None:
        """None where the prefix cannot be shared. A slot in training changes and has no digest."""
        named = row.digest if row.slot else "the base"
        if self._exact or not row.salt or named is None:
            return None
        return root_hash(named, row.salt)
