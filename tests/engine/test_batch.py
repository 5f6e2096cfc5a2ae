"""Rows of a batch lie where they should, in whatever order they came."""

from __future__ import annotations

import pytest
import torch

from engine.errors import BadRow
from engine.model.batch import pack, pad
from engine.port import Row

CPU = torch.device("cpu")
TEXTS = [[3, 4, 5], [6], [7, 8], [9, 10], [2**31 - 1]]
ROWS = [
    Row.of(ids=TEXTS[0], slot=2, type_ids=[0, 1, 1]),
    Row.of(ids=TEXTS[1], slot=1),
    Row.of(ids=TEXTS[2], slot=2),
    Row.of(ids=TEXTS[3], slot=1, type_ids=[1, 1]),
    Row.of(ids=TEXTS[4]),
]


def test_packed_rows_lie_end_to_end_by_slot_and_length() -> None:
    batch = pack(ROWS, CPU)
    assert batch.order == [4, 1, 3, 2, 0]
    assert batch.slots == [0, 1, 1, 2, 2]
    assert batch.ids.tolist() == [[2**31 - 1, 6, 9, 10, 7, 8, 3, 4, 5]]
    assert batch.positions.tolist() == [[0, 0, 0, 1, 0, 1, 0, 1, 2]]
    assert batch.type_ids.tolist() == [[0, 0, 1, 1, 0, 0, 0, 1, 1]]


def test_a_packed_batch_says_where_its_rows_start_and_which_are_of_one_length() -> None:
    for number in range(1, len(ROWS) + 1):
        batch = pack(ROWS[:number], CPU)
        lengths = batch.row_lengths
        assert lengths is not None
        ends = [stop for _, stop in batch.spans]
        assert lengths.cu_seqlens.tolist() == [0, *ends]
        assert lengths.cu_seqlens.dtype == torch.int32
        assert lengths.longest == max(batch.lengths)
        assert [n for n, count in lengths.runs for _ in range(count)] == batch.lengths


def test_padded_rows_stand_in_a_rectangle_and_say_where_they_end() -> None:
    batch = pad(ROWS[:4], CPU, pad_id=99)
    assert batch.ids.tolist() == [[6, 99, 99], [9, 10, 99], [7, 8, 99], [3, 4, 5]]
    assert batch.type_ids.tolist() == [[0, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 1]]
    assert batch.mask_RL is not None
    assert batch.mask_RL.sum(1).tolist() == batch.lengths == [1, 2, 2, 3]
    assert batch.positions.tolist() == [[0, 1, 2]] * 4


def test_a_row_gives_back_what_it_was_made_of() -> None:
    row = ROWS[0]
    assert (row.ids, row.type_ids, row.num_tokens) == (TEXTS[0], [0, 1, 1], 3)
    assert ROWS[1].type_ids is None


def test_a_token_id_that_is_no_32_bit_integer_is_refused() -> None:
    with pytest.raises(BadRow, match="no 32-bit integer"):
        Row.of(ids=[2**31])
