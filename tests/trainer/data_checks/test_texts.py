"""Letters, tokens and numbers that a careful look finds odd."""

from __future__ import annotations

import pytest

from engine.testing.fake_engine import FakeEngine
from engine.text.tokenizer import Tokenizer
from tests.trainer.data_checks.looking import codes, finding, moods


@pytest.fixture
def tokenizer() -> Tokenizer:
    info = FakeEngine().info
    return Tokenizer(info.tokenizer_json, info.max_tokens)


@pytest.mark.parametrize("text", ["cafÃ© society", "itâ€™s late", "a \ufffd b"])
def test_wrongly_decoded_letters_are_found(text: str) -> None:
    found = finding("wrongly_decoded", [*moods(), {"text": text, "label": "sad"}])
    assert (found.count, found.samples[0].line) == (1, 81)


def test_accents_that_are_right_are_left_alone() -> None:
    rows = [*moods(), {"text": "São Paulo, Ângela, naïveté – it’s fine", "label": "sad"}]
    assert "wrongly_decoded" not in codes(rows)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("NaN", "text_like_missing"),
        ("[deleted]", "text_like_missing"),
        ("?!", "no_words"),
        ("<p>hello</p>", "markup"),
        ("you &amp; me", "markup"),
    ],
)
def test_texts_that_are_none_are_found(text: str, code: str) -> None:
    assert finding(code, [*moods(), {"text": text, "label": "sad"}]).count == 1


def test_rows_longer_than_the_limit_are_counted(tokenizer: Tokenizer) -> None:
    long = [{"text": f"{'word ' * 40}{i}", "label": "sad"} for i in range(20)]
    rows, settings = [*moods(), *long], {"max_tokens": 100}
    found = finding("truncated", rows, tokenizer=tokenizer, settings=settings)
    assert (found.count, found.severity, found.facts["max_tokens"]) == (20, "warning", 100)
    assert finding("row_tokens", rows, tokenizer=tokenizer).facts["limit"] == tokenizer.max_tokens


def test_a_question_that_leaves_its_context_no_room_is_told(tokenizer: Tokenizer) -> None:
    def asked(question: str, context: str) -> dict[str, object]:
        return {"question": question, "context": f"Korso {context}",
                "answers": [{"text": "Korso", "start": 0}]}  # fmt: skip

    rows = [asked(f"q{i}", f"is {i} " + "far " * 400) for i in range(60)]
    assert "truncated" not in codes(rows, head="span", tokenizer=tokenizer)
    rows += [asked("why " * 2 * tokenizer.max_tokens, f"is {i}") for i in range(2)]
    assert finding("truncated", rows, head="span", tokenizer=tokenizer).count == 2


def test_a_vocabulary_that_spells_words_out_is_told_by_its_bytes_per_token(
    tokenizer: Tokenizer,
) -> None:
    found = finding("poor_fit", moods(), tokenizer=tokenizer)
    assert found.facts["bytes_per_token"] < 2.5


def test_a_number_far_from_all_others_is_questioned() -> None:
    rows = [{"text": f"t{i}", "label": i % 7} for i in range(60)]
    found = finding("far_values", [*rows, {"text": "odd", "label": 4000}], head="regress")
    assert (found.count, found.samples[0].line) == (1, 61)


def test_few_different_numbers_may_rather_be_classes() -> None:
    rows = [{"text": f"t{i}", "label": i % 3} for i in range(60)]
    assert "only the values 0, 1, 2" in finding("few_values", rows, head="regress").message
