"""Blocks of keys and values: which beginnings are shared, and which blocks go first."""

from __future__ import annotations

import pytest

from engine.kv_cache.block_allocator import BlockAllocator, root_hash
from engine.kv_cache.block_table import BlockTable

SIZE = 4
IDS = list(range(11))


def read(blocks: BlockAllocator, ids: list[int], root: bytes | None = b"root") -> BlockTable:
    """A row that has read all of its tokens."""
    table = BlockTable(blocks, root)
    table.reuse(ids)
    table.grow(len(ids))
    table.commit(ids, len(ids))
    return table


def test_a_beginning_that_is_still_held_is_shared() -> None:
    blocks = BlockAllocator(9, SIZE)
    first = read(blocks, IDS)
    second = BlockTable(blocks, b"root")
    assert second.reuse([*IDS[:9], 99]) == 8
    assert second.blocks == first.blocks[:2]
    assert blocks.num_used == 3


def test_a_beginning_that_was_released_is_found_again() -> None:
    blocks = BlockAllocator(9, SIZE)
    read(blocks, IDS).clear()
    assert (blocks.num_used, blocks.num_kept) == (0, 2)
    assert BlockTable(blocks, b"root").reuse(IDS) == 8


def test_the_last_token_is_always_read() -> None:
    blocks = BlockAllocator(9, SIZE)
    read(blocks, IDS[:8])
    assert BlockTable(blocks, b"root").reuse(IDS[:8]) == 4


@pytest.mark.survival("D1")
@pytest.mark.parametrize("other", [None, b"other"], ids=["no root", "another root"])
def test_rows_of_other_roots_share_nothing(other: bytes | None) -> None:
    blocks = BlockAllocator(9, SIZE)
    read(blocks, IDS, b"root").clear()
    assert BlockTable(blocks, other).reuse(IDS) == 0


@pytest.mark.survival("D2")
def test_a_digest_and_a_salt_are_told_apart() -> None:
    assert (
        len({root_hash(*pair) for pair in [("ab", "c"), ("a", "bc"), ("abc", ""), ("", "abc")]})
        == 4
    )


def test_the_same_tokens_after_another_beginning_are_not_the_same() -> None:
    blocks = BlockAllocator(9, SIZE)
    read(blocks, IDS).clear()
    assert BlockTable(blocks, b"root").reuse([77, *IDS[1:]]) == 0


def test_what_was_never_named_goes_first_and_then_the_end_of_what_was_released_first() -> None:
    blocks = BlockAllocator(5, SIZE)
    old, new = read(blocks, IDS[:8]), read(blocks, [50, *IDS[:8]])
    old_blocks, new_blocks = list(old.blocks), list(new.blocks)
    old.clear()
    new.clear()
    assert blocks.take(1) == new_blocks[2:]
    assert blocks.take(3) == [old_blocks[1], old_blocks[0], new_blocks[1]]
    assert BlockTable(blocks, b"root").reuse([50, *IDS[:8]]) == 4


def test_a_forward_that_failed_leaves_no_name_behind() -> None:
    blocks = BlockAllocator(9, SIZE)
    table = BlockTable(blocks, b"root")
    table.grow(8)
    table.clear()
    assert BlockTable(blocks, b"root").reuse(IDS) == 0
    assert blocks.num_kept == 0
