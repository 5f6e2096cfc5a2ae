"""Rows that say the same, in one file and in two."""

from __future__ import annotations

from tests.trainer.data_checks.looking import codes, finding, look, moods


def test_repeats_are_counted_but_for_case_and_spaces() -> None:
    rows = moods()
    rows += [{**rows[0], "text": rows[0]["text"].upper()}, {**rows[1]}]
    found = finding("exact_duplicates", rows)
    assert (found.count, [sample.line for sample in found.samples]) == (2, [81, 82])


def test_one_text_with_two_labels_is_a_conflict() -> None:
    rows = [*moods(), {**moods()[0], "label": "sad"}]
    found = finding("conflicting_duplicates", rows)
    assert [(sample.line, sample.text.split(":")[0]) for sample in found.samples] == [
        (1, "glad"), (81, "sad"),
    ]  # fmt: skip


def test_numbers_conflict_only_when_they_are_far_apart() -> None:
    rows = [{"text": f"text a{i} b{i}", "label": i / 10} for i in range(60)]
    assert "conflicting_duplicates" not in codes([*rows, {**rows[0], "label": 0.3}], head="regress")
    found = finding("conflicting_duplicates", [*rows, {**rows[0], "label": 5.0}], head="regress")
    assert found.count == 1


def test_rows_that_all_have_one_text_are_refused() -> None:
    rows = [{"text": "same", "label": ["a", "b"][i % 2]} for i in range(60)]
    examination = look(rows)
    assert examination.error is not None
    assert examination.error.code == "all_duplicates"
    assert "60 rows of the file have only 1 different text;" in str(examination.error)


def test_training_rows_that_the_test_file_has_are_left_out_and_shown() -> None:
    rows = moods()
    found = finding("exact_leak", rows, test=rows[:12])
    assert (found.count, found.facts["part"]) == (12, "test")
    assert (
        "12 training rows were left out, because the test file test.jsonl has the same text"
        in found.message
    )


def test_dev_rows_that_the_test_file_has_are_left_out_too() -> None:
    rows = moods()
    examination = look(rows[:50], dev=rows[50:70], test=rows[60:])
    (found,) = [f for f in examination.findings if f.code == "exact_leak"]
    assert (found.count, found.facts["part"]) == (10, "dev")
    assert examination.rows["dev"] == 10


def test_a_given_test_row_that_repeats_counts_twice_and_that_is_said() -> None:
    rows = moods()
    found = finding("repeated_judging_rows", rows[:60], test=[*rows[60:], rows[60]])
    assert found.count == 1
