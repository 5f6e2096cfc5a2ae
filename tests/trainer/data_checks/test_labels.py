"""Names of classes: misspelt, written twice, standing for nothing, unequal."""

from __future__ import annotations

import pytest

from tests.trainer.data_checks.looking import codes, finding, moods


def test_a_rare_label_one_slip_from_a_frequent_one_is_a_typo() -> None:
    rows = [*moods(), *({"text": f"x{i}", "label": "gald"} for i in range(2))]
    found = finding("label_typo", rows)
    assert found.facts == {"label": "gald", "meant": "glad"}
    assert found.count == 2
    assert [(sample.line, sample.text) for sample in found.samples] == [(81, "x0"), (82, "x1")]
    assert "'gald' (2 rows) may be a misspelling of 'glad' (40 rows)" in found.message


@pytest.mark.parametrize("label", ["class 1", "mad", "sadness"])
def test_numbered_short_and_far_labels_are_no_typos(label: str) -> None:
    rows = [{**row, "label": "class 2" if row["label"] == "sad" else "glad"} for row in moods()]
    rows += [{"text": f"x{i}", "label": label} for i in range(2)]
    assert "label_typo" not in codes(rows)


def test_two_frequent_labels_that_look_alike_are_two_labels() -> None:
    rows = [{**row, "label": "liked" if row["label"] == "sad" else "likes"} for row in moods()]
    assert "label_typo" not in codes(rows)


def test_labels_that_differ_in_case_and_spaces_only_are_named_together() -> None:
    rows = [*moods(), {"text": "x", "label": "Glad"}, {"text": "y", "label": " glad!"}]
    found = finding("label_variants", rows)
    assert found.facts["labels"][0] == "glad"
    assert set(found.facts["labels"]) == {"glad", "Glad", "glad!"}
    assert found.count == 2


def test_a_finding_about_a_very_long_label_stays_short() -> None:
    rows = [*moods(), *({"text": f"x{i}", "label": "a|" * 40_000} for i in range(9))]
    assert len(finding("joined_labels", rows).message) == 2000


def test_a_label_that_tables_write_for_none_is_questioned() -> None:
    rows = [*moods(), *({"text": f"x{i}", "label": "NaN"} for i in range(9))]
    assert finding("label_like_missing", rows).facts == {"label": "NaN"}


def test_classes_of_very_unequal_size_are_warned_about() -> None:
    rows = [*moods(), *({"text": f"many {i}", "label": "glad"} for i in range(400))]
    found = finding("class_imbalance", rows)
    assert found.severity == "warning"
    assert found.facts["rows"] == {"glad": 440, "sad": 40}


def test_even_classes_are_only_counted() -> None:
    found = finding("class_balance", moods())
    assert (found.severity, found.facts["rows"]) == ("info", {"glad": 40, "sad": 40})


def test_entity_types_are_checked_as_labels_are() -> None:
    rows = [
        {"tokens": ["see", f"Zoe{i}"], "ner_tags": ["O", f"B-{'person' if i else 'persn'}"]}
        for i in range(60)
    ]
    assert finding("label_typo", rows, head="tag").facts["meant"] == "person"
