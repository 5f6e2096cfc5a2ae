"""Block tables against a model of what every block's places hold."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.kv_cache.block_allocator import NO_BLOCK, BlockAllocator, root_hash
from engine.kv_cache.block_table import BlockTable

NUM_BLOCKS, SIZE = 6, 2
#: few tokens and few roots, so that beginnings meet
TEXTS = st.lists(st.integers(0, 1), min_size=1, max_size=2 * SIZE * NUM_BLOCKS)
ROOTS = st.sampled_from([None, ("a", "x"), ("a", "y"), ("ax", ""), ("b", "x")])


class _Row:
    def __init__(
        self, blocks: BlockAllocator, root: tuple[str, str] | None, ids: list[int]
    ) -> None:
        self.root, self.ids = root, ids
        self.table = BlockTable(blocks, root and root_hash(*root))


class BlocksMachine(RuleBasedStateMachine):
    """The model: what was written last at each place, as root and all tokens up to there."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = BlockAllocator(NUM_BLOCKS, SIZE)
        self.rows: list[_Row] = []
        self.places: dict[tuple[int, int], tuple[object, tuple[int, ...]]] = {}

    @rule(root=ROOTS, ids=TEXTS)
    def begin(self, root: tuple[str, str] | None, ids: list[int]) -> None:
        row = _Row(self.blocks, root, ids)
        cached = row.table.reuse(ids)
        assert cached < len(ids)
        assert cached == row.table.length == len(row.table.blocks) * SIZE
        assert not (root is None and cached)
        self.rows.append(row)

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), committed=st.booleans())
    def read_on(self, data: st.DataObject, committed: bool) -> None:
        row = data.draw(st.sampled_from(self.rows))
        start = row.table.length
        stop = data.draw(st.integers(start, len(row.ids)))
        if row.table.lacks(stop) > self.blocks.num_free:
            return
        before = Counter(block for r in self.rows for block in r.table.blocks)
        taken = row.table.grow(stop)
        assert NO_BLOCK not in taken
        assert not [block for block in taken if before[block]], "a block has two owners"
        for place in range(start, stop):
            block = row.table.blocks[place // SIZE]
            self.places[block, place % SIZE] = (row.root, tuple(row.ids[: place + 1]))
        if committed:
            row.table.commit(row.ids, stop)

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), again=st.booleans())
    def give_up(self, data: st.DataObject, again: bool) -> None:
        row = data.draw(st.sampled_from(self.rows))
        row.table.clear()
        if again:
            row.table.reuse(row.ids)
        else:
            self.rows.remove(row)

    @invariant()
    def every_row_sees_what_it_read_under_its_own_root(self) -> None:
        for row in self.rows:
            for place in range(row.table.length):
                seen = self.places[row.table.blocks[place // SIZE], place % SIZE]
                assert seen == (row.root, tuple(row.ids[: place + 1]))

    @invariant()
    def the_counts_are_of_what_rows_hold(self) -> None:
        held = {block for row in self.rows for block in row.table.blocks}
        assert self.blocks.num_used == len(held) <= NUM_BLOCKS
        assert held <= set(range(1, NUM_BLOCKS + 1))
        assert self.blocks.num_kept + self.blocks.num_used <= NUM_BLOCKS

    def teardown(self) -> None:
        for row in self.rows:
            row.table.clear()
        assert self.blocks.num_free == NUM_BLOCKS
        assert sorted(self.blocks.take(NUM_BLOCKS)) == list(range(1, NUM_BLOCKS + 1))


TestBlocks = BlocksMachine.TestCase
TestBlocks.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
