"""Text to tokens and back to characters."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.text.tokenizer import Encoding, Tokenizer
from tests.engine.texts import (
    accentless_tokenizer,
    letter_tokenizer,
    piece_tokenizer,
    word_tokenizer,
)

CLS, SEP, UNK = 0, 1, 2


def covered(encoding: Encoding, text: str) -> list[str]:
    return [text[start:end] for start, end in encoding.offsets]


def test_offsets_lead_back_to_the_characters_of_the_text() -> None:
    text = "anna  lives in\tnew york."
    assert covered(word_tokenizer().encode(text), text) == [
        "",
        "anna",
        "lives",
        "in",
        "new",
        "york",
        ".",
        "",
    ]


def test_offsets_count_characters_and_not_bytes() -> None:
    text = "é anna"
    assert covered(word_tokenizer().encode(text), text) == ["", "é", "anna", ""]


def test_a_pair_says_which_segment_a_token_is_of() -> None:
    encoding = word_tokenizer().encode("anna lives", "in york")
    assert encoding.type_ids == [0, 0, 0, 0, 1, 1, 1]
    assert covered(encoding, "in york")[4:6] == ["in", "york"]


def test_a_batch_gives_what_its_rows_give_alone() -> None:
    tokenizer = word_tokenizer(5)
    batch = tokenizer.encode_batch(["anna lives in new york", ("anna", "york")])
    assert batch == [tokenizer.encode("anna lives in new york"), tokenizer.encode("anna", "york")]


def test_a_row_within_the_limit_is_not_truncated() -> None:
    encoding = word_tokenizer(4).encode("anna lives")
    assert (encoding.truncated, len(encoding.ids)) == (False, 4)


def test_truncation_drops_from_the_end_and_keeps_the_special_tokens() -> None:
    encoding = word_tokenizer(4).encode("anna lives in new york")
    assert encoding.truncated
    assert covered(encoding, "anna lives in new york") == ["", "anna", "lives", ""]
    assert (encoding.ids[0], encoding.ids[-1]) == (CLS, SEP)


def test_a_limit_of_the_call_only_lowers_the_limit_of_the_base() -> None:
    tokenizer = word_tokenizer(6)
    assert len(tokenizer.encode("anna lives in new york", max_tokens=4).ids) == 4
    assert len(tokenizer.encode("anna lives in new york and", max_tokens=99).ids) == 6


@pytest.mark.parametrize("long_first", [True, False])
def test_truncation_of_a_pair_trims_the_longer_segment(long_first: bool) -> None:
    long, short = "anna lives in new york", "new york"
    pair = (long, short) if long_first else (short, long)
    encoding = word_tokenizer(8).encode(*pair)
    assert encoding.ids.count(CLS) == 1
    assert encoding.ids.count(SEP) == 2
    assert len(encoding.ids) == 8
    kept = [segment for segment in encoding.segments if segment is not None]
    assert len(kept) == 5
    segment = 0 if long_first else 1
    assert [covered(encoding, short)[i] for i in _tokens(encoding, 1 - segment)] == ["new", "york"]
    assert [covered(encoding, long)[i] for i in _tokens(encoding, segment)] == [
        "anna",
        "lives",
        "in",
    ]


def _tokens(encoding: Encoding, part: int) -> list[int]:
    return [i for i, segment in enumerate(encoding.segments) if segment == part]


@pytest.mark.parametrize("make", [letter_tokenizer, piece_tokenizer])
def test_the_space_before_a_word_is_not_part_of_it(make: type[Tokenizer]) -> None:
    encoding = make().encode("ab ba")  # type: ignore[call-arg]
    assert all(" " not in piece for piece in covered(encoding, "ab ba"))
    assert "".join(covered(encoding, "ab ba")) == "abba"


@pytest.mark.parametrize("text", ["Mara\u0301 flew", "Zoe\u0308\u0301", "\u0301x"])
def test_marks_that_normalising_leaves_out_belong_to_the_token_before(text: str) -> None:
    encoding = accentless_tokenizer().encode(text)
    assert "".join(covered(encoding, text)) == text.replace(" ", "").lstrip("\u0301")


def test_marks_of_a_pair_belong_to_the_tokens_of_their_own_text() -> None:
    encoding = accentless_tokenizer().encode("a\u0301", "bb\u0308")
    assert encoding.offsets == [(0, 2), (0, 1), (1, 3)]


def test_a_mark_that_is_a_token_stays_one() -> None:
    encoding = letter_tokenizer().encode("e\u0301")
    assert len({offset for offset in encoding.offsets if offset[1]}) == 2


def test_an_empty_text_has_its_special_tokens() -> None:
    assert word_tokenizer().encode("").ids == [CLS, SEP]


def test_threads_share_a_tokenizer() -> None:
    tokenizer = word_tokenizer()
    texts = [" ".join(["anna lives in new york"] * (i % 7 + 1)) for i in range(200)]
    alone = [tokenizer.encode(text) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(tokenizer.encode, texts)) == alone
