"""Rows of tagged words: learned, answered and judged in the words that serving reads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.heads import tag_scheme
from engine.heads.head import AnswerOptions
from engine.heads.tag import TagHead
from engine.heads.whole_words import word_spans
from engine.port import IGNORED
from engine.testing.fake_engine import FakeEngine
from engine.text.tokenizer import Tokenizer
from tests.engine.texts import (
    accentless_tokenizer,
    letter_tokenizer,
    piece_tokenizer,
    word_tokenizer,
)
from trainer.dataset.encode import encode_examples, head_for
from trainer.engine_client import EngineSession
from trainer.errors import BadLine
from trainer.evaluation.evaluate import read_predictions
from trainer.heads.encoded import EncodedRow
from trainer.heads.tag import TagData
from trainer.jobs.values import JobSpec
from trainer.readers.example import Example
from trainer.readers.reader import Record

SESSION = EngineSession(FakeEngine())
MAKERS = [letter_tokenizer, piece_tokenizer, word_tokenizer, accentless_tokenizer]
LABELS = ["O", "B-x", "I-x", "B-y", "I-y"]
SPEC = JobSpec(tenant="default", task="t", file_id="f", head="tag")


def read(tokens: list[str], tags: list[str]) -> Example:
    return TagData().example(Record(line=7, fields={"tokens": tokens, "ner_tags": tags}), SPEC)


def encoded(example: Example, make: Callable[[], Tokenizer]) -> EncodedRow:
    head = head_for("tag", "native", LABELS, [example])
    return encode_examples([example], head, make(), None)[0]


def entities(logits: np.ndarray, row: EncodedRow) -> list[tuple[str, int, int]]:
    """As serving answers the raw text."""
    head = head_for("tag", "native", LABELS, [row.example])
    answer = TagHead().decode(logits, head, row.encodings[0], row.example.text, AnswerOptions())
    return [(each["label"], each["start"], each["end"]) for each in answer["entities"]]


def judged(tags: list[str], example: Example) -> list[tuple[str, int, int]]:
    """The characters of what the report counts as an entity."""
    spans = word_spans(example.text)
    return [(name, spans[a][0], spans[b - 1][1]) for name, a, b in tag_scheme.spans(tags)]


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("B-x", ["B-x", "I-x", "I-x"]), ("I-x", ["I-x", "I-x", "I-x"]), ("O", ["O", "O", "O"]),
        ("S-x", ["B-x", "I-x", "E-x"]), ("E-x", ["I-x", "I-x", "E-x"]),
    ],
)  # fmt: skip
def test_a_given_word_that_is_several_gives_each_a_tag(tag: str, expected: list[str]) -> None:
    row = read(["so", "Jean-Luc"], ["O", tag])
    assert (row.words, row.label) == (("so", "Jean", "-", "Luc"), ("O", *expected))


def test_spaces_within_a_given_word_part_words() -> None:
    row = read(["New York", "is"], ["B-x", "O"])
    assert (row.words, row.label) == (("New", "York", "is"), ("B-x", "I-x", "O"))


def test_words_are_read_without_spaces_where_their_script_has_none() -> None:
    row = read(["我", "在", "北京", "。"], ["O", "O", "B-x", "O"])
    assert row.text == "我在北京。"
    assert row.label == ("O", "O", "B-x", "I-x", "O")


def test_tokens_of_the_same_letters_keep_their_own_tags() -> None:
    row = read(["a", "aa", "a", "ไป", "ไป"], ["B-x", "I-x", "O", "B-y", "O"])
    assert row.label == ("B-x", "I-x", "O", "B-y", "I-y", "O", "O")


def test_a_token_in_which_nothing_is_seen_has_no_tag() -> None:
    row = read(["\u200b", "Mara", "\ufeff"], ["O", "B-x", "O"])
    assert (row.words, row.label) == (("Mara",), ("B-x",))


def test_a_tag_on_what_is_not_seen_is_refused_with_its_line() -> None:
    with pytest.raises(BadLine, match=r"Line 7: '\\u200b' has the tag B-x"):
        read(["\u200b", "Mara"], ["B-x", "I-x"])


def test_a_row_in_which_nothing_is_seen_is_refused() -> None:
    with pytest.raises(BadLine, match="Line 7 has no word"):
        read(["\u200b", "\ufeff"], ["O", "O"])


TOKENS = st.lists(
    st.tuples(st.text("abé \u0301-,—東กिी.'", min_size=1, max_size=5), st.sampled_from(LABELS)),
    min_size=1, max_size=8,
).filter(lambda row: all(word.strip() for word, _ in row))  # fmt: skip


@pytest.mark.parametrize("make", MAKERS)
@settings(deadline=None)
@given(row=TOKENS, seed=st.integers(0, 99))
def test_the_report_judges_what_serving_answers(
    make: Callable[[], Tokenizer], row: list[tuple[str, str]], seed: int
) -> None:
    example = read(*map(list, zip(*row, strict=True)))
    found = encoded(example, make)
    shape = (len(found.encodings[0].ids), len(LABELS))
    logits = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    head = head_for("tag", "native", LABELS, [example])
    (tags,) = read_predictions(SESSION, [found], [logits], head)
    assert len(tags) == len(example.words)
    assert judged(tags, example) == entities(logits, found)


@settings(deadline=None)
@given(row=TOKENS)
def test_what_is_learned_is_what_serving_answers(row: list[tuple[str, str]]) -> None:
    example = read(*map(list, zip(*row, strict=True)))
    found = encoded(example, letter_tokenizer)
    assume(len(found.pieces) == 1)
    logits = np.zeros((len(found.target), len(LABELS)), np.float32)
    for position, target in enumerate(found.target):
        logits[position, 1 if target == IGNORED else target] = 1
    assert entities(logits, found) == judged(list(example.label), example)  # type: ignore[arg-type]
