"""Tags to entities and back, at the edges of BIO and of the tokenizer's splitting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.errors import BadAdapter
from engine.heads.head_kind import IGNORED, Answering
from engine.heads.tag import TagHead
from engine.tokenizer import Tokenizer
from tests.engine.texts import letter_tokenizer, piece_tokenizer, word_tokenizer

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
    return TagHead().decode(logits, HEAD, encoding, text, Answering(**options))["entities"]


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
        ("who", "anna"), ("where", "new york"),
    ]  # fmt: skip


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
    first = {w: i for i, w in reversed(list(enumerate(encoding.words))) if w is not None}
    tags = ["B-who"] * len(encoding.ids)
    tags[first[0]] = "O"
    tags[first[2]] = "I-who"
    found = TagHead().decode(logits_for(tags), HEAD, encoding, text, Answering())["entities"]
    assert [(e["text"], e["start"], e["end"]) for e in found] == [("ba b", 3, 7)]


def test_a_target_tags_the_first_token_of_each_word() -> None:
    encoding = word_tokenizer().encode_words(["anna", "lives"])
    assert TagHead().targets(["B-who", "O"], [encoding], HEAD) == [[IGNORED, 1, 0, IGNORED]]


@pytest.mark.parametrize("make", [letter_tokenizer, piece_tokenizer])
def test_a_target_ignores_the_later_tokens_of_a_word(make: type[Tokenizer]) -> None:
    encoding = make().encode_words(["ab", "ba"])  # type: ignore[call-arg]
    (target,) = TagHead().targets(["B-who", "B-where"], [encoding], HEAD)
    assert [index for index in target if index != IGNORED] == [1, 3]


def test_a_given_word_that_the_tokenizer_splits_is_tagged_at_its_first_part_alone() -> None:
    encoding = word_tokenizer().encode_words(["@york", "works"])
    target = [IGNORED, 3, IGNORED, 0, IGNORED]
    assert TagHead().targets(["B-where", "O"], [encoding], HEAD) == [target]


def test_an_entity_has_all_of_a_word_whose_first_part_is_in_it() -> None:
    text = "anna works in new-york."
    encoding = word_tokenizer().encode(text)
    tags = ["O", "O", "O", "O", "B-where", "B-who", "B-who", "O", "O"]
    found = TagHead().decode(logits_for(tags), HEAD, encoding, text, Answering())["entities"]
    assert [(e["label"], e["text"]) for e in found] == [("where", "new-york")]


def test_words_cut_off_by_truncation_have_no_target() -> None:
    encoding = word_tokenizer(4).encode_words(["anna", "lives", "in"])
    assert TagHead().targets(["B-who", "O", "B-where"], [encoding], HEAD) == [
        [IGNORED, 1, 0, IGNORED]
    ]


def test_what_a_target_says_decoding_gives_back() -> None:
    words, tags = ["anna", "@york", "in", "new", "york"], ["B-who", "I-who", "O", "B-where", "O"]
    encoding = word_tokenizer().encode_words(words)
    (target,) = TagHead().targets(tags, [encoding], HEAD)
    logits = logits_for(["B-who" if index == IGNORED else LABELS[index] for index in target])
    found = TagHead().decode(logits, HEAD, encoding, " ".join(words), Answering())["entities"]
    assert [e["text"] for e in found] == ["anna @york", "new"]
    assert TagHead().word_tags(logits, HEAD, encoding, 5) == tags


def test_word_tags_of_words_cut_off_are_o() -> None:
    encoding = word_tokenizer(3).encode_words(["anna", "lives"])
    logits = logits_for(["O", "B-who", "O"])
    assert TagHead().word_tags(logits, HEAD, encoding, 2) == ["B-who", "O"]


def test_an_unknown_tag_is_refused_by_name() -> None:
    encoding = word_tokenizer().encode_words(["anna"])
    with pytest.raises(BadAdapter, match=r"\['B-when'\] are not among"):
        TagHead().targets(["B-when"], [encoding], HEAD)
