"""Pieces of a text put together are the text, whatever it is made of and wherever it is cut."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.testing.fake_base import fake_tokenizer_json
from engine.text.tokenizer import Tokenizer
from server.service.generate.detokenizer import IncrementalDetokenizer

TOKENIZER = Tokenizer(fake_tokenizer_json(), 128)
#: characters of one to four bytes, few of them, so that stop strings are met
TEXTS = st.text(alphabet="abé€😀 ", max_size=20)


def written(ids: list[int], *stop: str) -> tuple[list[str], IncrementalDetokenizer]:
    transcript = IncrementalDetokenizer(TOKENIZER.text, stop)
    return [*(transcript.add(token) for token in ids), transcript.end()], transcript


def ends_first(text: str, stop: list[str]) -> str:
    """The text up to the stop string that is complete first."""
    ends = [(at + len(s), at) for s in stop if (at := text.find(s)) >= 0]
    return text[: min(ends)[1]] if ends else text


@given(TEXTS)
def test_pieces_are_whole_characters_and_make_up_the_text(text: str) -> None:
    pieces, _ = written(TOKENIZER.ids(text, special=True))
    assert "".join(pieces) == text
    assert all("\ufffd" not in piece for piece in pieces)


def test_bytes_that_never_become_a_character_are_not_decoded_again_for_each_of_them() -> None:
    lengths: list[int] = []

    def decode(ids: Sequence[int]) -> str:
        lengths.append(len(ids))
        return TOKENIZER.text(ids)

    transcript, ids = IncrementalDetokenizer(decode), [TOKENIZER.ids("é", special=False)[1]] * 4000
    assert "".join([*map(transcript.add, ids), transcript.end()]) == TOKENIZER.text(ids)
    assert sum(lengths) < 12 * len(ids)


@given(st.lists(st.integers(2, 257), max_size=30))
def test_even_bytes_that_are_no_text_come_as_they_are_decoded_at_once(ids: list[int]) -> None:
    pieces, _ = written(ids)
    assert "".join(pieces) == TOKENIZER.text(ids)


@given(TEXTS, st.lists(st.text(alphabet="abé€😀 ", min_size=1, max_size=4), max_size=3))
def test_a_text_ends_before_the_stop_string_that_is_complete_first(
    text: str, stop: list[str]
) -> None:
    pieces, transcript = written(TOKENIZER.ids(text, special=False), *stop)
    assert "".join(pieces) == ends_first(text, stop)
    assert transcript.stopped == any(s in text for s in stop)
    assert transcript.num_chars == len("".join(pieces))


def test_what_may_become_a_stop_string_is_held_back_and_given_when_it_does_not() -> None:
    pieces, _ = written(TOKENIZER.ids("no stoop", special=False), "stop")
    assert pieces == ["n", "o", " ", "", "", "", "stoo", "p", ""]


@pytest.mark.parametrize(("text", "rest"), [("ab st", "st"), ("ab é"[:4], "")])
def test_what_was_held_back_is_given_at_the_end(text: str, rest: str) -> None:
    pieces, _ = written(TOKENIZER.ids(text, special=False), "stop")
    assert pieces[-1] == rest
    assert "".join(pieces) == text
