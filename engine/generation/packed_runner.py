"""Rows of a decoder read on in one packed forward over blocks of keys and values.

Decides who gets blocks and who gives them up; which rows are asked for, and in which order of
rank, is decided outside.

Shape letters: W rows that write, V words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from engine.adapters.resident import Placed
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
    """The rows' blocks, and the forwards that fill them.

    Where blocks run out the last-ranked rows give theirs up and read again later. Rows that a step
    does not name belong to another caller: only its first row may take their blocks, and only those
    of rows that began after it, so that two callers never take from each other in turns.
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
        # what it writes last is never read
        needed = table.lacks(row.num_prompt + row.most - 1)
        if needed > self.num_blocks:
            raise BadRow(
                f"the row's {row.num_prompt} tokens and the {row.most} it may write need {needed} "
                f"blocks of keys and values; there are {self.num_blocks}"
            )
        self._admitted[row.key] = _Admitted(row=row, table=table)

    def forget(self, key: int) -> None:
        admitted = self._admitted.pop(key, None)
        if admitted is not None:
            admitted.table.clear()
        if not self._admitted:
            self._forwards.clear()

    # ------------------------------------------------------------ who goes on

    def turns(self, rows: Sequence[SequenceState], max_tokens: int) -> list[list[ScheduledChunk]]:
        turns: list[ScheduledChunk] = []
        left, fresh = max_tokens, list[int]()
        for rank, row in enumerate(rows):
            table = self._admitted[row.key].table
            if not table.blocks and not self._begun(row, table, rank, left):
                continue
            goes_on = row.num_written > 0 and len(row.ids) - table.length == 1
            wanted = 1 if goes_on else self._stretch(row, table, left, untouched=left == max_tokens)
            count = self._make_room(table, wanted, rows, rank)
            if count:
                fresh += table.grow(table.length + count)
                turns.append(ScheduledChunk(row=row, start=table.length, count=count))
                left -= 0 if goes_on else count
        self._pool.clear(fresh)
        return [[turn] for turn in turns] if self._exact else [turns] if turns else []

    def _begun(self, row: SequenceState, table: BlockTable, rank: int, left: int) -> bool:
        """Whether a row that holds nothing may start to read: with all of it in sight, and a block
        for each row before it, or it would soon give up again what it read.
        """
        if left <= 0:
            return False
        cached = table.reuse(row.ids)
        if rank and table.lacks(len(row.ids)) + rank > self._blocks.num_free:
            table.clear()
            return False
        if not row.num_written:
            row.num_cached = cached
        return True

    def _stretch(self, row: SequenceState, table: BlockTable, left: int, *, untouched: bool) -> int:
        """How much of its prompt a row may read now.

        For the same bits in any company it is cut nowhere: what was written is read one by one, as
        it was at first.
        """
        unread = len(row.ids) - table.length
        if not self._exact:
            return min(unread, left)
        whole = row.num_prompt if not table.length else 1
        return whole if whole <= left or untouched else 0

    def _make_room(
        self, table: BlockTable, wanted: int, rows: Sequence[SequenceState], rank: int
    ) -> int:
        """How many of so many tokens there is room for, once rows of lower rank gave theirs up."""
        if table.lacks(table.length + wanted) <= self._blocks.num_free:
            return wanted
        victims = [self._admitted[row.key].table for row in rows[rank + 1 :]]
        if not rank:
            victims = [*self._strangers(rows), *victims]
        while table.lacks(table.length + wanted) > self._blocks.num_free and victims:
            victims.pop().clear()
        room = (len(table.blocks) + self._blocks.num_free) * BLOCK_TOKENS - table.length
        return wanted if wanted <= room else 0 if self._exact else room

    def _strangers(self, rows: Sequence[SequenceState]) -> list[BlockTable]:
        """Rows that the step does not name and that began after its first, the youngest last."""
        named = {row.key for row in rows}
        others = [
            admitted
            for key, admitted in self._admitted.items()
            if key not in named and admitted.row.number > rows[0].number
        ]
        return [a.table for a in sorted(others, key=lambda admitted: admitted.row.number)]

    # ------------------------------------------------------------ the forward

    def read(self, turns: Sequence[ScheduledChunk]) -> Tensor:
        sitting = _placed([a.row for a in self._admitted.values()]) | _placed(
            [turn.row for turn in turns]
        )
        readings = [self._reading(turn) for turn in turns]
        logits_WV = self._forwards.logits(turns, readings, sitting)
        for turn in turns:
            self._admitted[turn.row.key].table.commit(turn.row.ids, turn.stop)
        return logits_WV

    def _reading(self, turn: ScheduledChunk) -> Chunk:
        blocks = self._admitted[turn.row.key].table.blocks
        return Chunk(blocks=blocks, start=turn.start, count=turn.count)

    def _root(self, row: SequenceState) -> bytes | None:
        """The bare base is the same for ever; a slot in training is not, and has no digest."""
        named = row.digest if row.slot else "the base"
        if self._exact or not row.salt or named is None:
            return None
        return root_hash(named, row.salt)


def _placed(rows: Sequence[SequenceState]) -> dict[int, Placed]:
    return {row.slot: row.placed for row in rows if row.placed is not None}
