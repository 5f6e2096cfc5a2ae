"""Checks on rows: each says which line and what is wrong with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.trainer.build import examples, jsonl, read_examples
from trainer.dataset import examples as examples_module
from trainer.dataset.examples import check_trainable, labels_of
from trainer.errors import (
    BadDataset,
    BadLine,
    MissingColumn,
    OneClass,
    TooFewRows,
    TooManyClasses,
    TooManyRows,
)
from trainer.jobs.stored_job import spec_of
from trainer.jobs.values import JobSpec
from trainer.readers.example import Example
from trainer.readers.reader import read_records


def read(rows: list[dict[str, Any]], **given: Any) -> list[Example]:
    spec = JobSpec(tenant="t", task="t", file_id="f", **given)
    return read_examples(read_records(jsonl(rows), "rows.jsonl"), spec)


def test_strings_whole_numbers_and_bools_are_labels() -> None:
    rows = [{"text": "a", "label": label} for label in ("spam", 3, True)]
    assert [row.label for row in read(rows)] == ["spam", "3", "true"]


def test_whole_numbers_may_be_written_as_floats() -> None:
    rows = [{"text": "a", "label": label} for label in (1.0, 0.0, -0.0, 1, [2.0])]
    assert [row.label for row in read(rows[:4])] == ["1", "0", "0", "1"]
    assert read(rows[4:])[0].label == ("2",)


@pytest.mark.parametrize("cell", ['["b", "a"]', "['b', 'a']", "[ 'a' , 'b' ]"])
def test_a_list_of_labels_may_be_written_in_a_cell(cell: str) -> None:
    assert read([{"text": "x", "label": cell}])[0].label == ("a", "b")


@pytest.mark.parametrize("cell", ["[spam]", "[deleted] [x]", "[a, b]"])
def test_brackets_alone_make_no_list(cell: str) -> None:
    assert read([{"text": "x", "label": cell}])[0].label == cell


def test_an_array_written_as_text_is_refused() -> None:
    with pytest.raises(BadLine, match="Line 1: label is an array written as text"):
        read([{"text": "x", "label": "['a' 'b']"}])


def test_a_key_that_a_row_has_twice_is_refused() -> None:
    with pytest.raises(BadLine, match="Line 1 is not JSON: it has the key 'label' more than once"):
        list(read_records(b'{"text": "a", "label": "x", "label": "y"}', "rows.jsonl"))


@pytest.mark.parametrize("value", ["0,5", "1,234", "-3,25"])
def test_a_comma_in_a_number_is_answered_with_what_to_write(value: str) -> None:
    with pytest.raises(BadLine, match="decimals with a point"):
        read([{"text": "a", "label": value}], head="regress")


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        (None, "not None"),
        (float("nan"), "Line 1: label is NaN"),
        (0.5, "whole number"),
        (1e300, "whole number"),
        (" ", "label is empty"),
        ({"a": 1}, "not {'a': 1}"),
        ([0.5], "not 0.5"),
    ],
)
def test_what_is_no_label_is_named(label: object, sentence: str) -> None:
    with pytest.raises(BadLine, match=sentence):
        read([{"text": "a", "label": label}])


@pytest.mark.parametrize("value", ["x", True, None, float("nan"), float("inf"), "1e999", "1_000"])
def test_a_regression_target_must_be_a_finite_number(value: object) -> None:
    with pytest.raises(BadLine, match="Line 1: label"):
        read([{"text": "a", "label": value}], head="regress")


def test_numbers_written_as_text_are_numbers() -> None:
    assert read([{"text": "a", "label": "2.5"}], head="regress")[0].label == 2.5


def test_a_missing_column_says_which_columns_exist() -> None:
    with pytest.raises(MissingColumn, match=r"Line 1 has no column 'text'; it has: body, label\."):
        read([{"body": "a", "label": "x"}])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("  ", "Line 1: text is empty"),
        (3, "must be text"),
        ("x" * 100_001, "at most 100000"),
        ("a\0b", "NUL"),
    ],
)
def test_text_that_cannot_be_used_is_named(text: object, sentence: str) -> None:
    with pytest.raises(BadLine, match=sentence):
        read([{"text": text, "label": "x"}])


def test_an_unpaired_surrogate_is_refused() -> None:
    line = b'{"text": "\\ud800", "label": "x"}'
    spec = JobSpec(tenant="t", task="t", file_id="f")
    with pytest.raises(BadLine, match="surrogate"):
        read_examples(read_records(line, "rows.jsonl"), spec)


def test_a_pair_comes_from_its_own_column() -> None:
    rows = [{"text": "a", "text_b": "b", "label": "x"}]
    assert read(rows, text_pair_column="text_b")[0].pair == "b"


def test_prompts_and_completions_are_texts_and_what_to_write() -> None:
    row = read([{"prompt": "Name a colour.", "completion": "Blue"}], head="generate")[0]
    assert (row.text, row.label) == ("Name a colour.", "Blue")


def test_a_conversation_may_stand_in_any_text_column() -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
    row = read([{"chat": turns}], head="generate", text_column="chat")[0]
    assert (row.text, row.label) == ("user: Hi", "Hello!")
    (turn,) = row.turns
    assert ([*turn.prompt.messages], turn.answer) == (turns[:1], turns[1])


def test_tagging_takes_tokens_and_ner_tags_where_nothing_else_is_named() -> None:
    row = read([{"tokens": ["Ann", "ran"], "ner_tags": ["B-person", "O"]}], head="tag")[0]
    assert (row.words, row.label) == (("Ann", "ran"), ("B-person", "O"))


@pytest.mark.parametrize(
    ("tags", "sentence"),
    [
        (["O"], "2 tokens and 1 tags"),
        (["O", "person"], "'person' of 'ran' is no tag of BIO"),
        ([0, 1], "words"),
    ],
)
def test_tags_that_cannot_be_used_are_named(tags: list[object], sentence: str) -> None:
    with pytest.raises(BadLine, match=sentence):
        read([{"tokens": ["Ann", "ran"], "ner_tags": tags}], head="tag")


def test_the_labels_of_a_tag_head_have_both_tags_of_every_type() -> None:
    row = Example(line=1, text="a b", words=("a", "b"), label=("I-x", "B-a"))
    assert labels_of([row], "tag") == ["O", "B-a", "I-a", "B-x", "I-x"]


def test_ten_rows_are_refused_with_the_minimum() -> None:
    with pytest.raises(
        TooFewRows, match="has 10 usable rows; training needs at least 20"
    ) as caught:
        check_trainable(examples(["a", "b"] * 5), "classify")
    assert (caught.value.rows, caught.value.minimum) == (10, 20)


def test_one_class_is_refused_by_its_name() -> None:
    with pytest.raises(OneClass, match="'spam'"):
        check_trainable(examples(["spam"] * 30), "classify")


def test_one_value_is_refused() -> None:
    with pytest.raises(OneClass):
        check_trainable(examples([1.0] * 30), "regress")


def test_tags_that_are_all_o_are_refused() -> None:
    with pytest.raises(OneClass):
        check_trainable(examples([("O",)] * 30), "tag")


def test_labels_as_many_as_rows_are_refused() -> None:
    with pytest.raises(TooManyClasses, match="wrong label column"):
        check_trainable(examples([str(i) for i in range(30)]), "classify")


@pytest.mark.survival("F2")
def test_more_rows_than_the_cap_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples_module, "MAX_ROWS", 3)
    with pytest.raises(TooManyRows):
        read([{"text": "a", "label": "x"}] * 4)


def test_a_header_without_rows_is_refused() -> None:
    spec = JobSpec(tenant="t", task="t", file_id="f")
    with pytest.raises(BadDataset, match="no rows"):
        read_examples(read_records(b"text,label\n", "rows.csv"), spec)


def test_texts_that_differ_in_case_and_spaces_are_one_group() -> None:
    one, other = examples(["a", "b"], ["Hello  World", "hello world "])
    assert one.group == other.group


def test_a_spec_survives_its_json() -> None:
    spec = JobSpec(tenant="t", task="t", file_id="f", promote=True)
    assert spec_of(json.loads(json.dumps(spec.to_json())), spec.tenant) == spec


def test_a_conversation_beside_its_prompt_is_read_as_a_whole() -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
    row = read([{"prompt": "Hi", "messages": turns}], head="generate")[0]
    assert (row.text, row.label) == ("user: Hi", "Hello!")


def test_words_and_tags_of_a_table_may_be_lists_written_as_text() -> None:
    rows = [{"tokens": "['Ann', 'ran']", "ner_tags": '["B-person", "O"]'}]
    assert read(rows, head="tag")[0].words == ("Ann", "ran")
    with pytest.raises(BadLine, match="tokens is an array written as text"):
        read([{"tokens": "['Ann' 'ran']", "ner_tags": "['O' 'O']"}], head="tag")


def test_messages_and_tools_may_be_json_written_as_text() -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
    tool = {"type": "function", "function": {"name": "paint"}}
    rows = [{"messages": json.dumps(turns), "tools": json.dumps([tool])}]
    (turn,) = read(rows, head="generate")[0].turns
    assert ([*turn.prompt.messages], turn.prompt.tools) == (turns[:1], (tool,))


def test_a_text_in_place_of_the_header_is_not_shown_whole() -> None:
    with pytest.raises(MissingColumn) as caught:
        read([{"x" * 100_000: "a", **{f"c{i}": "b" for i in range(1000)}}])
    assert len(str(caught.value)) < 1000
