"""Which rows with one new token go through one call."""

from __future__ import annotations

from engine.kv_cache.chunks import Chunk
from engine.kv_cache.gathered_attention import _alike_long


def reading(start: int, count: int = 1) -> Chunk:
    return Chunk(blocks=[], start=start, count=count)


def test_rows_of_usual_lengths_share_one_call_in_order_of_the_stream() -> None:
    assert _alike_long([reading(200), reading(3), reading(0, 9), reading(40)]) == [[0, 1, 3]]


def test_short_rows_do_not_look_as_far_back_as_a_very_long_one() -> None:
    rows = [reading(9000), reading(10), reading(300), reading(400), reading(7000)]
    assert _alike_long(rows) == [[1], [2, 3], [0, 4]]
