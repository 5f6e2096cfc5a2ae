"""Where the words of raw text begin and end, whatever the tokenizer makes of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.heads.whole_words import join_words, whole_words, word_spans
from engine.text.tokenizer import Tokenizer
from tests.engine.texts import (
    accentless_tokenizer,
    letter_tokenizer,
    piece_tokenizer,
    word_tokenizer,
)

ACUTE, DIAERESIS, VIRAMA = "\u0301", "\u0308", "\u094d"
JOINER, NON_JOINER = "\u200d", "\u200c"


def words(text: str) -> list[str]:
    return [text[start:end] for start, end in word_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mara flew to Korso—where", ["Mara", "flew", "to", "Korso", "—", "where"]),
        ("Ashby,Lindau", ["Ashby", ",", "Lindau"]),
        ("Silas(Korso)", ["Silas", "(", "Korso", ")"]),
        ("Greta/Ivo", ["Greta", "/", "Ivo"]),
        ("Ostrava…Mara", ["Ostrava", "…", "Mara"]),
        ("“Lena”–Korso’s", ["“", "Lena", "”", "–", "Korso", "’", "s"]),
        ("Jean-Luc_O'Brien @york", ["Jean", "-", "Luc", "_", "O", "'", "Brien", "@", "york"]),
        ("€500,Korso™", ["€", "500", ",", "Korso", "™"]),
        ("wait...", ["wait", ".", ".", "."]),
        ("Мара—Корсо", ["Мара", "—", "Корсо"]),
        ("मारा।कोर्सो", ["मारा", "।", "कोर्सो"]),
        ("مارا،كورسو؟", ["مارا", "،", "كورسو", "؟"]),
        ("마라·코르소에서", ["마라", "·", "코르소에서"]),
    ],
)
def test_signs_are_words_in_every_script_though_no_space_is_beside_them(
    text: str, expected: list[str]
) -> None:
    assert words(text) == expected


@pytest.mark.parametrize("text", ["東 京 タ ワ ー は", "ไ ป ก รุ ง เ ท พ", "ភ្នំ ពេ ញ", "ວ ຽ ງ ຈັ ນ"])
def test_where_no_spaces_are_written_each_character_is_a_word(text: str) -> None:
    assert words(text.replace(" ", "")) == text.split(" ")


@pytest.mark.parametrize(
    "word",
    [
        "दिल्ली", "में", f"Zoe{DIAERESIS}", f"Mara{ACUTE}", f"{ACUTE}abc", f"क{VIRAMA}{JOINER}ष",
        f"می{NON_JOINER}خواهم", f"क{VIRAMA}{NON_JOINER}", "שָׁלוֹם", "Kor\u00adso", "Kor\u2060so",
        f"👩{JOINER}💻", "🇩🇪", "👍🏽", "m²",
    ],
)  # fmt: skip
def test_marks_and_what_joins_letters_stay_in_their_word(word: str) -> None:
    assert words(word) == [word]
    assert words(f"a {word} b") == ["a", word, "b"]


@pytest.mark.parametrize("link", ["http://t.co/x", "https://a.org/b-c?d=e_f#g", "www.korso.org/"])
def test_a_link_is_a_word_and_the_signs_around_it_are_not_in_it(link: str) -> None:
    assert words(f"at {link}.") == ["at", link, "."]
    assert words(f"({link},Mara)") == ["(", link, ",", "Mara", ")"]
    assert words(f"{link}—Mara") == [link, "—", "Mara"]


def test_a_scheme_alone_is_no_link() -> None:
    assert words("http:// x") == ["http", ":", "/", "/", "x"]


def test_emoji_part_words_and_are_whole() -> None:
    assert words(f"Mara👩{JOINER}💻Otis❤️") == ["Mara", f"👩{JOINER}💻", "Otis", "❤️"]


@pytest.mark.parametrize(
    "space", [" ", "\t", "\n", "\r\n", "\u00a0", "\u202f", "\u2007", "\u3000", "\u2028", "\u200b"]
)
def test_every_space_parts_words_and_is_in_none(space: str) -> None:
    assert words(f"{space}Mara{space}Otis{space}") == ["Mara", "Otis"]


@pytest.mark.parametrize("unseen", ["\ufeff", "\u200e", "\u200f", "\u2067", "\u00ad"])
def test_what_is_not_seen_is_outside_the_word_that_it_surrounds(unseen: str) -> None:
    assert words(f"{unseen}Mara{unseen} Otis") == ["Mara", "Otis"]


MAKERS = [letter_tokenizer, piece_tokenizer, word_tokenizer, accentless_tokenizer]


@pytest.mark.parametrize("make", [letter_tokenizer, accentless_tokenizer])
@pytest.mark.parametrize(
    "text", [f"Mara{ACUTE} flew to Zoe{DIAERESIS}", "anna@york—ab", f"a{ACUTE}{DIAERESIS}b c"]
)
def test_tokens_are_put_to_the_same_words_by_every_tokenizer(
    make: Callable[[], Tokenizer], text: str
) -> None:
    encoding = make().encode(text)
    found = [
        text[encoding.offsets[tokens[0]][0] : encoding.offsets[tokens[-1]][1]]
        for tokens in whole_words(encoding, text)
    ]
    assert found == words(text)


def test_words_that_share_a_token_have_the_tokens_of_both() -> None:
    encoding = word_tokenizer().encode(text := "東京 anna")
    assert whole_words(encoding, text) == [[1], [1], [2]]


def test_a_word_that_no_token_reads_has_none() -> None:
    encoding = word_tokenizer(4).encode(text := "anna lives in")
    assert whole_words(encoding, text) == [[1], [2], []]


@pytest.mark.parametrize("make", MAKERS)
@given(text=st.text(max_size=40))
def test_every_token_is_in_the_words_it_reads_and_no_word_overlaps_another(
    make: Callable[[], Tokenizer], text: str
) -> None:
    spans, encoding = word_spans(text), make().encode(text)
    for (start, end), tokens in zip(spans, whole_words(encoding, text), strict=True):
        for position in tokens[:1]:
            first, after = encoding.offsets[position]
            assert first < end
            assert start < max(after, encoding.offsets[tokens[-1]][1])
    assert all(left[1] <= right[0] for left, right in pairwise(spans))
    assert all(start < end and text[start:end].strip() for start, end in spans)


def test_given_words_are_joined_as_their_script_is_written() -> None:
    assert join_words(["Mara", "lives", "in", "Korso", "."]) == "Mara lives in Korso ."
    assert join_words(["我", "在", "北京", "。", "Mara", "来"]) == "我在北京。 Mara 来"
    assert join_words(["ไป", "กรุงเทพ"]) == "ไปกรุงเทพ"
    assert join_words(["मारा", "कोर्सो"]) == "मारा कोर्सो"


def test_a_given_word_that_begins_with_a_mark_stays_a_word() -> None:
    assert words(join_words(["ก", "\u0e34", "ข"])) == ["ก", "\u0e34", "ข"]
