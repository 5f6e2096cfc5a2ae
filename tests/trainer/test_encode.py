"""Examples as tokens and targets, and answers read back off tokens."""

from __future__ import annotations

import numpy as np
import pytest
import tokenizers

from engine.testing.fake_base import fake_info
from engine.testing.fake_engine import FakeEngine
from engine.text.tokenizer import Tokenizer
from tests.trainer.build import examples
from trainer.dataset.encode import encode_examples, head_for
from trainer.engine_client import EngineSession
from trainer.evaluation.evaluate import read_predictions
from trainer.readers.example import Example
from trainer.settings.settings import TrainingSettings


def letters() -> Tokenizer:
    """One token per letter, words split at spaces."""
    model = tokenizers.models.BPE(vocab={c: i for i, c in enumerate("abcnrAsu")}, merges=[])
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return Tokenizer(made.to_str(), 128)


SESSION = EngineSession(FakeEngine())
TOKENIZER = letters()
PAIRS = Tokenizer(fake_info().tokenizer_json, 128)
TAGGED = [Example(line=1, text="Ann ran", words=("Ann", "ran"), label=("B-a", "O"))]
TAG_HEAD = head_for("tag", "native", ["O", "B-a", "I-a"], TAGGED)


def test_a_class_is_trained_by_its_place_among_the_labels() -> None:
    rows = examples(["b", "a"])
    head = head_for("classify", "mean", ["a", "b"], rows)
    assert [row.target for row in encode_examples(rows, head, TOKENIZER, None)] == [1, 0]


def test_values_are_trained_standardised_and_answered_as_they_were() -> None:
    rows = examples([10.0, 30.0])
    head = head_for("regress", "mean", [], rows)
    encoded = encode_examples(rows, head, TOKENIZER, None)
    assert [row.target for row in encoded] == [-1.0, 1.0]
    logits = [np.array([row.target], np.float32) for row in encoded]
    assert read_predictions(SESSION, encoded, logits, head) == pytest.approx([10.0, 30.0])


def test_only_the_first_token_of_a_word_is_trained() -> None:
    row = encode_examples(TAGGED, TAG_HEAD, TOKENIZER, None)[0]
    labelled = [tag for tag in row.target if tag != -100]
    assert len(row.target) == len(row.pieces[0].ids) > len(labelled)
    assert labelled == [1, 0]


def test_tags_are_read_off_where_they_were_trained() -> None:
    row = encode_examples(TAGGED, TAG_HEAD, TOKENIZER, None)[0]
    logits = np.zeros((len(row.pieces[0].ids), 3), np.float32)
    for position, target in enumerate(row.target):
        if target != -100:
            logits[position, target] = 1
    assert read_predictions(SESSION, [row], [logits], TAG_HEAD) == [["B-a", "O"]]


def test_words_cut_off_by_the_limit_are_answered_with_o() -> None:
    row = encode_examples(TAGGED, TAG_HEAD, TOKENIZER, 3)[0]
    logits = np.full((3, 3), [0, 1, 0], np.float32)
    assert row.truncated
    assert read_predictions(SESSION, [row], [logits], TAG_HEAD) == [["B-a", "O"]]


def test_pairs_carry_token_types() -> None:
    pair = Example(line=1, text="a", pair="b", label="x")
    head = head_for("classify", "mean", ["x", "y"], [pair])
    row = encode_examples([pair], head, PAIRS, None)[0]
    assert row.pieces[0].type_ids is not None
    assert set(row.pieces[0].type_ids) == {0, 1}


@pytest.mark.parametrize("kind", ["tag", "span"])
def test_a_version_reads_windows_as_long_as_those_it_was_trained_on(kind: str) -> None:
    settings = TrainingSettings(window=64, max_tokens=32)
    row = Example(line=1, text="a b", pair="c", words=("a", "b"), label=("O", "O"))
    assert head_for(kind, "native", ["O", "B-x"], [row], settings)["window"] == 32
