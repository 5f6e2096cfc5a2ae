"""Tags to entities and back, at the edges of BIO and of the tokenizer's splitting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.errors import BadAdapter
from engine.heads.head import AnswerOptions
from engine.heads.tag import TagHead
from engine.heads.whole_words import whole_words
from engine.port import IGNORED
from engine.text.tokenizer import Tokenizer
from tests.engine.texts import (
    accentless_tokenizer,
    letter_tokenizer,
    piece_tokenizer,
    word_tokenizer,
)

LABELS = ["O", "B-who", "I-who", "B-where", "I-where"]
HEAD = TagHead().check({"kind": "tag", "labels": LABELS})
TEXT = "anna lives in new york"


def logits_for(tags: list[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Logits that say one tag per token, with probability 1/2 each."""
    rows = np.zeros((len(tags), len(LABELS)), np.float32)
    for row, tag in zip(rows, tags, strict=True):
        row[LABELS.index(tag)] = np.log(len(LABELS) - 1)
    return rows


def entities(tags: list[str], text: str = TEXT, **options: Any) -> list[dict[str, Any]]:
    encoding = word_tokenizer(len(tags) + 2).encode(text)
    logits = logits_for(["B-who", *tags, "B-who"])  # what special tokens say never matters
    return TagHead().decode(logits, HEAD, encoding, text, AnswerOptions(**options))["entities"]


def spans(tags: list[str], text: str = TEXT) -> list[tuple[str, str]]:
    return [(entity["label"], entity["text"]) for entity in entities(tags, text)]


def test_an_entity_has_label_characters_text_and_score() -> None:
    (entity,) = entities(["O", "O", "O", "B-where", "I-where"])
    assert entity.pop("score") == pytest.approx(0.5)
    assert entity == {"label": "where", "start": 14, "end": 22, "text": "new york"}


def test_nothing_but_o_is_no_entity() -> None:
    assert entities(["O"] * 5) == []


def test_an_i_without_its_b_opens_an_entity() -> None:
    assert spans(["I-who", "O", "O", "I-where", "I-where"]) == [
        ("who", "anna"),
        ("where", "new york"),
    ]


def test_a_b_next_to_an_entity_of_its_label_opens_another() -> None:
    assert spans(["O", "O", "O", "B-where", "B-where"]) == [("where", "new"), ("where", "york")]


def test_an_i_of_another_label_opens_another_entity() -> None:
    assert spans(["B-who", "I-where", "O", "O", "O"]) == [("who", "anna"), ("where", "lives")]


def test_an_o_between_two_i_parts_them() -> None:
    assert spans(["I-who", "O", "I-who", "O", "O"]) == [("who", "anna"), ("who", "in")]


def test_words_cut_off_by_truncation_are_in_no_entity() -> None:
    assert spans(["B-who", "O", "O", "B-where"]) == [("who", "anna"), ("where", "new")]


def test_raw_scores_are_mean_logits() -> None:
    (entity,) = entities(["O", "O", "O", "B-where", "I-where"], raw_scores=True)
    assert entity["score"] == pytest.approx(np.log(4.0))


@pytest.mark.parametrize("make", [letter_tokenizer, piece_tokenizer])
def test_a_word_of_many_tokens_is_what_its_first_token_says(make: type[Tokenizer]) -> None:
    text = "ab ba b"
    encoding = make().encode(text)  # type: ignore[call-arg]
    first = [tokens[0] for tokens in whole_words(encoding, text)]
    tags = ["B-who"] * len(encoding.ids)
    tags[first[0]] = "O"
    tags[first[2]] = "I-who"
    found = TagHead().decode(logits_for(tags), HEAD, encoding, text, AnswerOptions())["entities"]
    assert [(e["text"], e["start"], e["end"]) for e in found] == [("ba b", 3, 7)]


def test_a_target_tags_the_first_token_of_each_word() -> None:
    encoding = word_tokenizer().encode("anna lives")
    target = [IGNORED, 1, 0, IGNORED]
    assert TagHead().targets(("anna lives", ["B-who", "O"]), [encoding], HEAD) == [target]


@pytest.mark.parametrize("make", [letter_tokenizer, piece_tokenizer])
def test_a_target_ignores_the_later_tokens_of_a_word(make: type[Tokenizer]) -> None:
    encoding = make().encode("ab ba")  # type: ignore[call-arg]
    (target,) = TagHead().targets(("ab ba", ["B-who", "B-where"]), [encoding], HEAD)
    assert [index for index in target if index != IGNORED] == [1, 3]


@pytest.mark.parametrize("make", [letter_tokenizer, word_tokenizer])
def test_signs_have_tags_of_their_own(make: type[Tokenizer]) -> None:
    text = "anna@york"
    encoding = make().encode(text)  # type: ignore[call-arg]
    (target,) = TagHead().targets((text, ["B-who", "O", "B-where"]), [encoding], HEAD)
    assert [index for index in target if index != IGNORED] == [1, 0, 3]
    logits = logits_for(["I-where" if index == IGNORED else LABELS[index] for index in target])
    found = TagHead().decode(logits, HEAD, encoding, text, AnswerOptions())["entities"]
    assert [(e["label"], e["text"]) for e in found] == [("who", "anna"), ("where", "york")]


def test_words_that_share_a_token_are_one_entity() -> None:
    text = "東京 anna"  # the first two are one unknown token
    encoding = word_tokenizer().encode(text)
    assert TagHead().targets((text, ["B-where", "I-where", "B-who"]), [encoding], HEAD) == [
        [IGNORED, 3, 1, IGNORED]
    ]
    logits = logits_for(["O", "B-where", "B-who", "O"])
    found = TagHead().decode(logits, HEAD, encoding, text, AnswerOptions())["entities"]
    assert [(e["text"], e["score"]) for e in found] == [
        ("東京", pytest.approx(0.5)),
        ("anna", pytest.approx(0.5)),
    ]
    tags = TagHead().word_tags(logits, HEAD, encoding, text)
    assert tags == ["B-where", "I-where", "B-who"]


def test_marks_that_the_tokenizer_leaves_out_are_in_their_entity() -> None:
    text = "Mara\u0301 flew to Korso\u0301"
    encoding = accentless_tokenizer().encode(text)
    first = {tokens[0] for tokens in whole_words(encoding, text)}
    tags = ["B-who" if i in first else "O" for i in range(len(encoding.ids))]
    found = TagHead().decode(logits_for(tags), HEAD, encoding, text, AnswerOptions())["entities"]
    assert [(e["start"], e["end"]) for e in found] == [(0, 5), (6, 10), (11, 13), (14, 20)]


def test_words_cut_off_by_truncation_have_no_target() -> None:
    encoding = word_tokenizer(4).encode("anna lives in")
    assert TagHead().targets(("anna lives in", ["B-who", "O", "B-where"]), [encoding], HEAD) == [
        [IGNORED, 1, 0, IGNORED]
    ]


def test_what_a_target_says_decoding_gives_back() -> None:
    text, tags = "anna @york in new york", ["B-who", "I-who", "I-who", "O", "B-where", "O"]
    encoding = word_tokenizer().encode(text)
    (target,) = TagHead().targets((text, tags), [encoding], HEAD)
    logits = logits_for(["B-who" if index == IGNORED else LABELS[index] for index in target])
    found = TagHead().decode(logits, HEAD, encoding, text, AnswerOptions())["entities"]
    assert [e["text"] for e in found] == ["anna @york", "new"]
    assert TagHead().word_tags(logits, HEAD, encoding, text) == tags


def test_word_tags_of_words_cut_off_are_o() -> None:
    encoding = word_tokenizer(3).encode("anna lives")
    logits = logits_for(["O", "B-who", "O"])
    assert TagHead().word_tags(logits, HEAD, encoding, "anna lives") == ["B-who", "O"]


def test_an_unknown_tag_is_refused_by_name() -> None:
    encoding = word_tokenizer().encode("anna")
    with pytest.raises(BadAdapter, match=r"\['B-when'\] are not among"):
        TagHead().targets(("anna", ["B-when"]), [encoding], HEAD)
