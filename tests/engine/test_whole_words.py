"""Where the words of raw text begin and end, whatever the tokenizer makes of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.heads.whole_words import whole_words
from tests.engine.texts import letter_tokenizer, word_tokenizer


def words(text: str) -> list[str]:
    encoding = word_tokenizer().encode(text)
    offsets = encoding.offsets
    return [text[offsets[w[0]][0] : offsets[w[-1]][1]] for w in whole_words(encoding, text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("anna lives", ["anna", "lives"]),
        ("@anna lives", ["@anna", "lives"]),
        ("Jean-Luc, at http://t.co/x.", ["Jean-Luc", ",", "at", "http://t.co/x", "."]),
        ("wait... (anna) :-)", ["wait", "...", "(", "anna", ")", ":-)"]),
        ("(London's)", ["(", "London", "'s", ")"]),
        ("O'Brien didn't", ["O'Brien", "didn", "'t"]),
    ],
)
def test_what_the_tokenizer_splits_stays_together_but_for_punctuation_around(
    text: str, expected: list[str]
) -> None:
    assert words(text) == expected


def test_a_given_clitic_is_one_word() -> None:
    assert words("it 's") == ["it", "'s"]


def test_where_no_spaces_are_written_words_are_the_tokenizer_s() -> None:
    assert words("東・京 ไป-มา") == ["東", "・", "京", "ไป", "-", "มา"]


@given(st.text(max_size=40))
def test_every_token_of_a_word_is_in_one_word_once(text: str) -> None:
    encoding = letter_tokenizer().encode(text)
    found = [position for word in whole_words(encoding, text) for position in word]
    assert found == [i for i, word in enumerate(encoding.words) if word is not None]
