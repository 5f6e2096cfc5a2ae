"""Heads that answer per row, and what every head refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.errors import BadAdapter
from engine.heads import GENERATION_HEADS, HEADS, PREDICTION_HEADS, find_head, is_generation
from engine.heads.head import AnswerOptions
from tests.engine.texts import word_tokenizer

USUAL, RAW = AnswerOptions(), AnswerOptions(raw_scores=True)
ENCODING = word_tokenizer().encode("anna lives")
CLASSIFY = HEADS["classify"].check({"kind": "classify", "labels": ["no", "yes"]})
REGRESS = HEADS["regress"].check({"kind": "regress", "mean": 10.0, "std": 2.0})


def logits(*values: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array(values, np.float32)


def test_a_classify_head_answers_the_best_label_and_every_label_s_probability() -> None:
    answer = HEADS["classify"].decode(logits(0.0, np.log(3.0)), CLASSIFY, ENCODING, "", USUAL)
    assert answer["label"] == "yes"
    assert answer["score"] == pytest.approx(0.75)
    assert answer["scores"] == pytest.approx({"no": 0.25, "yes": 0.75})


def test_probabilities_of_huge_logits_are_still_probabilities() -> None:
    answer = HEADS["classify"].decode(logits(3e38, -3e38), CLASSIFY, ENCODING, "", USUAL)
    assert answer["scores"] == {"no": 1.0, "yes": 0.0}


def test_raw_scores_are_the_logits() -> None:
    answer = HEADS["classify"].decode(logits(-1.5, 2.0), CLASSIFY, ENCODING, "", RAW)
    assert answer == {"label": "yes", "score": 2.0, "scores": {"no": -1.5, "yes": 2.0}}


def test_a_classify_target_is_the_label_s_index() -> None:
    assert HEADS["classify"].targets("yes", [ENCODING], CLASSIFY) == [1]


def test_a_label_the_head_does_not_have_is_refused_by_name() -> None:
    with pytest.raises(BadAdapter, match=r"'maybe' is not one of \['no', 'yes'\]"):
        HEADS["classify"].targets("maybe", [ENCODING], CLASSIFY)


def test_a_regress_head_answers_on_the_scale_of_its_training_rows() -> None:
    assert HEADS["regress"].decode(logits(1.5), REGRESS, ENCODING, "", USUAL) == {"value": 13.0}


def test_a_raw_regress_score_stays_standardised() -> None:
    answer = HEADS["regress"].decode(logits(1.5), REGRESS, ENCODING, "", RAW)
    assert answer == {"value": 1.5}


def test_a_regress_target_is_what_decoding_undoes() -> None:
    (target,) = HEADS["regress"].targets(7.0, [ENCODING], REGRESS)
    assert HEADS["regress"].decode(logits(target), REGRESS, ENCODING, "", USUAL) == {"value": 7.0}


@pytest.mark.parametrize("label", ["many", None, float("nan"), 10**400])
def test_a_regress_label_that_is_no_finite_number_is_refused(label: Any) -> None:
    with pytest.raises(BadAdapter, match="not a finite number"):
        HEADS["regress"].targets(label, [ENCODING], REGRESS)


@pytest.mark.parametrize("name", HEADS)
def test_checked_settings_are_complete_and_checking_again_changes_nothing(name: str) -> None:
    head = {"kind": name, "labels": ["O", "B-x"], "unknown": 1}
    checked = HEADS[name].check(head)
    assert checked["kind"] == name
    assert checked["pooling"] == HEADS[name].poolings[0]
    assert "unknown" not in checked
    assert HEADS[name].check(checked) == checked


@pytest.mark.parametrize(
    ("head", "outputs"),
    [
        ({"kind": "classify", "labels": ["a", "b", "c"]}, 3),
        ({"kind": "tag", "labels": ["O", "B-x", "I-x"]}, 3),
        ({"kind": "regress"}, 1),
    ],
)
def test_a_head_has_as_many_outputs_as_labels_or_one(head: dict[str, Any], outputs: int) -> None:
    assert find_head(head).num_outputs(find_head(head).check(head)) == outputs


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown kind": ({"kind": "rank"}, "the head is 'rank'; this engine knows classify"),
    "no kind": ({}, "the head is None"),
    "a list for a kind": ({"kind": ["tag"]}, "this engine knows"),
    "no labels": ({"kind": "classify"}, "needs labels"),
    "labels of another type": ({"kind": "classify", "labels": "ab"}, "needs labels"),
    "a number among the labels": ({"kind": "classify", "labels": ["a", 1]}, "needs labels"),
    "an empty label": ({"kind": "classify", "labels": ["a", ""]}, "needs labels"),
    "one label": ({"kind": "classify", "labels": ["a"]}, "at least 2 labels; it has 1"),
    "a label twice": ({"kind": "classify", "labels": ["a", "a"]}, "something twice"),
    "unknown pooling": (
        {"kind": "classify", "labels": ["a", "b"], "pooling": "max"},
        "pooling is 'max'; a classify head knows native, mean, cls, last",
    ),
    "tags without O": ({"kind": "tag", "labels": ["B-x", "I-x"]}, "must be O, B-… and I-…"),
    "tags of another scheme": ({"kind": "tag", "labels": ["O", "U-x"]}, "must be O, B-… and I-…"),
    "no spread": ({"kind": "regress", "std": 0.0}, "positive std"),
    "an infinite mean": ({"kind": "regress", "mean": float("inf")}, "finite mean"),
    "a mean that is no number": ({"kind": "regress", "mean": "high"}, "finite mean"),
    "a mean beyond floats": ({"kind": "regress", "mean": 10**400}, "finite mean"),
}


@pytest.mark.parametrize(("head", "reason"), REFUSED.values(), ids=REFUSED)
def test_bad_settings_are_refused_with_the_reason(head: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadAdapter, match=reason):
        find_head(head).check(head)


def test_a_temperature_divides_logits_before_they_become_probabilities() -> None:
    head = HEADS["classify"].check({**CLASSIFY, "temperature": 2.0})
    given = logits(0.0, 2 * np.log(3.0))
    answer = HEADS["classify"].decode(given, head, ENCODING, "", USUAL)
    assert answer["scores"] == pytest.approx({"no": 0.25, "yes": 0.75})
    raw = HEADS["classify"].decode(given, head, ENCODING, "", RAW)
    assert raw["scores"] == pytest.approx({"no": 0.0, "yes": 2 * np.log(3.0)})


def test_a_small_temperature_overflows_no_huge_logit() -> None:
    head = HEADS["classify"].check({**CLASSIFY, "temperature": 0.05})
    answer = HEADS["classify"].decode(logits(3e38, -3e38), head, ENCODING, "", USUAL)
    assert answer["scores"] == {"no": 1.0, "yes": 0.0}


def test_a_head_without_a_temperature_keeps_its_settings_and_so_its_digest() -> None:
    assert "temperature" not in CLASSIFY
    assert HEADS["classify"].check({**CLASSIFY, "temperature": 1.0}) == CLASSIFY
    with pytest.raises(BadAdapter, match="temperature of a classify head is 0"):
        HEADS["classify"].check({**CLASSIFY, "temperature": 0})


def test_every_head_either_predicts_or_generates() -> None:
    assert set(HEADS) == set(PREDICTION_HEADS) ^ set(GENERATION_HEADS)


@pytest.mark.parametrize(
    ("name", "generates"), [("generate", True), ("classify", False), (None, False), (["x"], False)]
)
def test_only_the_name_of_a_generation_head_is_one(name: object, generates: bool) -> None:
    assert is_generation(name) is generates
