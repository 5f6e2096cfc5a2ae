"""Texts longer than a row: how they are cut, and how their answers become one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from engine.heads.whole_words import whole_words
from engine.text.windows import Windows, cut, merge_tokens, window_problem
from tests.engine.texts import letter_tokenizer, word_tokenizer

TEXT = " ".join(["anna", "lives", "in", "new", "york"] * 8)


def segments(num_text: int) -> list[int | None]:
    return [None, *([0] * num_text), None]


def test_every_token_of_the_text_is_in_a_window_and_neighbours_share_the_stride() -> None:
    windows = cut(segments(40), 20, 6)
    assert windows is not None
    assert sorted({i for window in windows for i in window}) == list(range(42))
    assert all(len(window) <= 20 for window in windows)
    texts = [window[1:-1] for window in windows]
    assert all(a[-6:] == b[:6] for a, b in itertools.pairwise(texts))


def test_each_window_has_the_special_tokens() -> None:
    windows = cut(segments(40), 20)
    assert windows is not None
    assert {(window[0], window[-1]) for window in windows} == {(0, 41)}


def test_of_two_texts_only_the_second_is_cut() -> None:
    question = [None, 0, 0, 0, None]
    windows = cut([*question, *([1] * 30), None], 20)
    assert windows is not None
    assert all(window[:5] == [0, 1, 2, 3, 4] and window[-1] == 35 for window in windows)


def test_a_question_that_leaves_no_room_is_cut_nowhere() -> None:
    assert cut([None, *([0] * 12), None, *([1] * 30), None], 20) is None


def test_a_token_s_answer_is_that_of_the_window_with_most_context() -> None:
    windows = [[0, 1, 2, 3, 4, 9], [0, 3, 4, 5, 6, 9], [0, 5, 6, 7, 8, 9]]
    parts = [np.full((6, 1), number, np.float32) for number in range(3)]
    assert merge_tokens(parts, windows)[1:9, 0].tolist() == [0, 0, 0, 1, 1, 2, 2, 2]


@pytest.mark.parametrize(
    ("tokens", "stride", "reason"),
    [
        (8, None, "window is 8"),
        (16.5, None, "window is 16.5"),
        (True, None, "window is True"),
        (None, -1, "stride is -1"),
        (32, 20, "share a stride of 20; at most 12"),
    ],
)
def test_windows_that_cannot_be_are_refused(tokens: object, stride: object, reason: str) -> None:
    assert reason in str(window_problem(tokens, stride))


def test_sane_windows_have_no_problem() -> None:
    assert window_problem(None, None) is window_problem(64, 16) is None


def test_a_long_text_is_several_rows_of_the_base_s_length() -> None:
    encoding = word_tokenizer(20).encode(TEXT, windows=Windows())
    assert not encoding.truncated
    assert len(encoding.ids) == 42
    assert len(encoding.rows) == len(encoding.windows) > 1
    assert all(len(ids) <= 20 for ids, _ in encoding.rows)
    assert encoding.num_tokens == sum(len(ids) for ids, _ in encoding.rows)


def test_windows_may_be_smaller_than_the_base_reads() -> None:
    encoding = word_tokenizer(64).encode(TEXT, windows=Windows(tokens=16, stride=2))
    assert {len(ids) for ids, _ in encoding.rows[:-1]} == {16}


def test_a_short_text_is_one_row() -> None:
    encoding = word_tokenizer(20).encode("anna lives", windows=Windows())
    assert (encoding.windows, encoding.rows) == ([], [(encoding.ids, encoding.type_ids)])


def test_words_are_read_whole_through_windows() -> None:
    encoding = letter_tokenizer(40).encode(TEXT, windows=Windows())
    assert encoding.windows
    assert all(whole_words(encoding, TEXT))


def test_a_context_is_read_in_windows_with_its_question_before_each() -> None:
    encoding = word_tokenizer(20).encode("anna lives", TEXT, windows=Windows())
    question = encoding.ids[:4]
    assert all(ids[:4] == question for ids, _ in encoding.rows)
    assert all(types[4:] == [1] * (len(types) - 4) for _, types in encoding.rows)
