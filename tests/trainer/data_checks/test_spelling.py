"""Which names are one, and in what they differ."""

from __future__ import annotations

import unicodedata

import pytest

from tests.trainer.data_checks.looking import codes, finding, moods
from trainer.data_checks.spelling import difference, spelling_key

DECOMPOSED = unicodedata.normalize("NFD", "café")


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ("1", "1.0", "are the same number, written in different ways"),
        ("0", "-0.0", "are the same number, written in different ways"),
        ("1.5", "1,5", "are the same number, written in different ways"),
        ("-1", "\u22121", "are the same number, written in different ways"),
        ("1000", "1,000", "are the same number, written in different ways"),
        ("café", DECOMPOSED, "differ in composed and decomposed letters only"),
        ("Café", DECOMPOSED, "differ in composed and decomposed letters and case only"),
        ("good", "\u200bgood", "differ in invisible characters only"),
        ("good day", "good\u00a0day", "differ in spaces only"),
        ("Glad", "glad!", "differ in case and punctuation only"),
        ("new_york", "new york", "differ in spaces and punctuation only"),
        ("２a", "2A", "differ in the forms of letters and case only"),
        ("ﬁne", "fine", "differ in the forms of letters only"),
        ("2020-01", "2020/01", "differ in punctuation only"),
    ],
)
def test_names_written_in_two_ways_are_one(one: str, other: str, said: str) -> None:
    assert spelling_key(one) == spelling_key(other)
    assert difference([one, other]) == said


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("-1", "1"), ("1.0", "10"), ("1,0", "10"), ("1-2", "12"), ("class -1", "class 1"),
        ("v1.0", "v10"), ("café", "cafe"), (DECOMPOSED, "cafe"), ("की", "का"), ("C", "C++"),
        ("C", "C#"), ("A-", "A+"), ("A", "A-"), (">50K", "<=50K"), ("👍", "👎"), ("1", "true"),
    ],
)  # fmt: skip
def test_other_names_are_others(one: str, other: str) -> None:
    assert spelling_key(one) != spelling_key(other)


def labelled(*labels: str) -> list[dict[str, str]]:
    return [{"text": f"a{i} b{i} c{i} d{i}", "label": labels[i % len(labels)]} for i in range(60)]


def test_a_label_in_composed_and_in_decomposed_letters_is_told() -> None:
    found = finding("label_variants", labelled("café", DECOMPOSED, "bar"))
    assert (set(found.facts["labels"]), found.count) == ({"café", DECOMPOSED}, 20)


def test_only_the_same_number_is_told() -> None:
    assert finding("label_variants", labelled("1", "1.0", "10", "ten")).facts["labels"] == [
        "1",
        "1.0",
    ]
    assert "label_variants" not in codes(labelled("-1", "0", "1"))


def test_numbers_are_no_typos_of_each_other() -> None:
    rows = [*labelled("1000", "2000"), {"text": "x", "label": "-1000"}]
    assert "label_typo" not in codes(rows)


@pytest.mark.parametrize(
    "joined", ["cost|time", "cost; time", "cost & time", "cost#time", "cost time", "cost\ntime"]
)
def test_labels_that_join_others_are_told(joined: str) -> None:
    found = finding("joined_labels", labelled("cost", "time", joined))
    assert (found.facts["labels"], found.count) == ([joined], 20)
    assert '["cost", "time"]' in found.message


def test_labels_in_brackets_without_quote_marks_are_told() -> None:
    found = finding("joined_labels", labelled("[cost]", "[time]", "[cost, time]"))
    assert found.facts["labels"] == ["[cost, time]"]
    assert '["cost", "time"]' in found.message


@pytest.mark.parametrize("label", ["rock/pop", "1,5", "n/a", "5 stars", "C#"])
def test_a_sign_within_a_name_joins_nothing(label: str) -> None:
    assert "joined_labels" not in codes(labelled("cost", "1", "5", label))


def test_texts_that_differ_in_composed_letters_are_duplicates() -> None:
    rows = [*moods(), *({"text": f"x y {c}", "label": "sad"} for c in ("café", DECOMPOSED))]
    assert finding("exact_duplicates", rows).count == 1


def test_a_label_of_a_judging_file_that_is_written_in_another_way_is_told() -> None:
    found = finding("unlearned_labels", labelled("0.5", "1"), dev=[{"text": "hm", "label": "1.0"}])
    assert "'1.0' and its '1' are the same number" in found.message
