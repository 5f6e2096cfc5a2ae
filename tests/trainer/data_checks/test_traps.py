"""Files as tables and data frames write them: what is read all the same, and what is asked."""

from __future__ import annotations

import json

import pytest

from tests.trainer.data_checks.looking import Rows, codes, finding, look, moods


def table(header: str, *labels: str, rows: int = 80) -> bytes:
    lines = [f"a{i} b{i} c{i},{labels[i % len(labels)]}" for i in range(rows)]
    return "\n".join([header, *lines]).encode()


def labels_of(content: bytes | Rows, filename: str = "rows.csv") -> set[object]:
    examination = look(content, filename)
    assert examination.error is None, examination.error
    return {row.label for row in examination.subject.examples}


def test_columns_in_another_case_are_used_and_the_notices_say_so() -> None:
    findings = look(table("Text,LABEL", "x", "y"), "rows.csv").findings
    assert [each.message for each in findings if each.code == "reading_choice"] == [
        "The column 'Text' is used as 'text'; the names differ only in case and spaces.",
        "The column 'LABEL' is used as 'label'; the names differ only in case and spaces.",
    ]


def test_two_columns_that_both_differ_in_case_only_are_not_guessed_between() -> None:
    rows = [{"Text": "a", "TEXT": "b", "label": "x"}] * 20
    assert finding("missing_column", rows).count == 20


def test_the_usual_columns_of_a_head_are_found_in_another_case() -> None:
    rows = [{"Tokens": ["a", f"b{i}"], "NER_Tags": ["O", "B-x"]} for i in range(80)]
    assert look(rows, head="tag").error is None


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("text,category", "Set label_column to 'category' (`--label-column category`)"),
        ("text,mood of it", "Set label_column to 'mood of it' (`--label-column 'mood of it'`)"),
        (
            "tweet,sentiment",
            "Set text_column to 'tweet' and label_column to 'sentiment' (`--text-column tweet "
            "--label-column sentiment`)",
        ),
        ("text,labell", "Set label_column to 'labell'"),
        ("foo,bar", "Set text_column, text_pair_column and label_column to the names"),
    ],
)
def test_a_missing_column_is_answered_with_the_one_that_may_be_meant(
    header: str, said: str
) -> None:
    assert said in finding("missing_column", table(header, "x", "y"), "rows.csv").message


def test_a_table_without_the_column_is_refused_once_and_not_for_every_row() -> None:
    found = finding("missing_column", table("text,category", "x", "y"), "rows.csv")
    assert (found.count, found.message.partition(";")[0]) == (1, "The file has no column 'label'")


def test_an_index_without_a_name_is_ignored() -> None:
    lines = [f"{i},a{i} b{i},{'xy'[i % 2]}" for i in range(80)]
    assert labels_of("\n".join([",text,label", *lines]).encode()) == {"x", "y"}


def test_whole_numbers_with_a_point_are_read_without_it() -> None:
    assert labels_of(table("text,label", "0.0", "1.0", "2")) == {"0", "1", "2"}
    said = finding("reading_choice", table("text,label", "0.0", "1.0"), "rows.csv").message
    assert said.startswith("All labels are whole numbers, so '0.0' is read as '0'")


def test_one_label_that_is_not_whole_keeps_all_as_they_are() -> None:
    assert labels_of(table("text,label", "0.0", "0.5", "1.0")) == {"0.0", "0.5", "1.0"}


def test_a_test_file_may_write_the_same_whole_labels_without_the_point() -> None:
    content = table("text,label", "0.0", "1.0")
    test = [{"text": f"other {i}", "label": i % 2} for i in range(20)]
    assert look(content, "rows.csv", test=test).error is None


def test_cells_that_all_hold_a_list_make_a_multi_label_task() -> None:
    content = table("text,label", '"[""ham"", ""long""]"', '"[""spam""]"', "[]")
    assert labels_of(content) == {("ham", "long"), ("spam",), ()}
    said = finding("multi_label", content, "rows.csv")
    assert said.message.endswith("1.0 labels on average. 26 rows have an empty list.")


@pytest.mark.parametrize("mark", ["|", ";"])
def test_labels_that_only_occur_joined_are_asked_about(mark: str) -> None:
    content = table("text,label", f"ham{mark}long", f"spam{mark}short")
    said = finding("joined_labels", content, "rows.csv").message
    assert said.startswith(f"2 labels, such as 'ham{mark}long', may join several labels;")
    assert said.endswith('write a list in every row: ["ham", "long"].')


@pytest.mark.parametrize("label", ["C/C++", "arts & crafts", "New York", "a, b"])
def test_names_with_other_signs_whose_parts_occur_once_are_names(label: str) -> None:
    assert "joined_labels" not in codes(table("text,label", json.dumps(label), "x"), "rows.csv")


def test_a_list_among_names_is_answered_with_the_list_to_write() -> None:
    rows = moods()
    rows[1]["label"] = ["sad"]
    said = finding("bad_line", rows).message
    assert said.startswith('Line 2 has the label ["sad"] and line 1 has "glad"; either')
    assert said.endswith('As a list, "glad" is ["glad"].')


def test_four_misspelt_rows_beside_sixty_are_a_typo() -> None:
    rows = [*moods(120), *({"text": f"x{i}", "label": "gald"} for i in range(4))]
    assert finding("label_typo", rows).facts == {"label": "gald", "meant": "glad"}
