"""SQuAD's documents: what is read of them, on which line, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.trainer.build import jsonl, read_examples
from trainer.errors import BadDataset, BadLine
from trainer.jobs.values import JobSpec
from trainer.readers.example import Example
from trainer.readers.reader import read_records, read_rows


def document(*questions: dict[str, Any], context: str = "Ann saw Bob.") -> bytes:
    paragraphs = [{"context": context, "qas": list(questions)}]
    article = {"title": "t", "paragraphs": paragraphs}
    return json.dumps({"version": "v2.0", "data": [article]}, indent=1).encode()


ASKED = {
    "question": "Who saw?", "id": "1",
    "answers": [{"text": "Ann", "answer_start": 0}, {"text": "Ann", "answer_start": 0}],
}  # fmt: skip
IMPOSSIBLE = {
    "question": "Who fled?", "id": "2", "is_impossible": True, "answers": [],
    "plausible_answers": [{"text": "Bob", "answer_start": 8}],
}  # fmt: skip


def asked(content: bytes, filename: str = "train.json") -> list[Example]:
    spec = JobSpec(tenant="t", task="t", file_id="f", head="span")
    return read_examples(read_records(content, filename), spec)


def test_each_question_is_a_record_on_its_own_line() -> None:
    content = document(ASKED, IMPOSSIBLE)
    first, second = read_records(content, "train.json")
    lines = content.decode().split("\n")
    assert '"Who saw?"' in lines[first.line - 1]
    assert '"Who fled?"' in lines[second.line - 1]
    assert first.fields["context"] == "Ann saw Bob."


def test_an_impossible_question_has_no_answer_and_the_same_answer_counts_once() -> None:
    first, second = read_records(document(ASKED, IMPOSSIBLE), "train.json")
    assert first.fields["answers"] == [{"text": "Ann", "answer_start": 0}]
    assert second.fields["answers"] == []


def test_version_one_and_either_order_of_keys_are_read() -> None:
    old = json.loads(document(ASKED))
    content = json.dumps({"data": old["data"], "version": "1.1"}).encode()
    assert len(list(read_records(content, "dev.json"))) == 1


def test_a_text_that_quotes_the_key_does_not_shift_the_lines() -> None:
    content = document(ASKED, IMPOSSIBLE, context='He said "question": what?')
    second = list(read_records(content, "train.json"))[1]
    assert '"Who fled?"' in content.decode().split("\n")[second.line - 1]


def test_a_question_without_its_text_is_an_error_of_its_line() -> None:
    rows = list(read_rows(document({"question": 3, "answers": []}, ASKED), "train.json"))
    assert [type(row).__name__ for row in rows] == ["BadLine", "Record"]


def test_a_broken_document_is_refused() -> None:
    with pytest.raises(BadDataset, match="cannot be read as SQuAD, one JSON object"):
        list(read_records(document(ASKED)[:-9], "train.json"))


@pytest.mark.parametrize("more", [{"version": 2.0}, {"name": "x", "version": "1"}, {"meta": {}}])
def test_other_keys_may_come_first_and_the_version_may_be_a_number(more: dict[str, Any]) -> None:
    content = json.dumps({**more, "data": json.loads(document(ASKED))["data"]})
    assert len(list(read_records(content.encode(), "train.json"))) == 1
    spread = json.dumps(json.loads(content), indent=1)
    assert len(list(read_records(spread.encode(), "train.json"))) == 1


def test_questions_alone_are_read_as_datasets_writes_them() -> None:
    answers = {"text": ["Ann"], "answer_start": [0]}
    row = {"question": "Who saw?", "context": "Ann saw.", "answers": answers}
    content = json.dumps({"version": "2", "data": [row, row]}).encode()
    assert [example.label for example in asked(content)] == [(("Ann", 0),)] * 2


def test_rows_that_have_data_and_a_question_are_no_document() -> None:
    content = b'{"question": "a", "data": 1}\n{"question": "b", "data": 2}\n'
    assert len(list(read_records(content, "rows.jsonl"))) == 2


def test_a_paragraph_without_questions_is_not_left_out_in_silence() -> None:
    content = json.dumps({"data": [{"paragraphs": [{"context": "a", "question": "b"}]}]}).encode()
    with pytest.raises(BadDataset, match="qas of a paragraph of article 1 must be a list"):
        list(read_records(content, "train.json"))


@pytest.mark.parametrize(
    "question", [{**ASKED, "is_impossible": True}, {**IMPOSSIBLE, "is_impossible": False}]
)
def test_answers_that_contradict_is_impossible_are_refused(question: dict[str, Any]) -> None:
    with pytest.raises(BadLine, match=r"is_impossible is (true|false); correct one"):
        asked(document(question))


@pytest.mark.parametrize(
    ("context", "start", "said"),
    [
        ("-Ann saw.", 2, "the answer at 1"),
        ("\U0001fad6 Ann saw.", 5, "5 counts bytes, in characters it is 2"),
        ("\U0001fad6 Ann saw.", 3, "3 counts UTF-16 units, in characters it is 2"),
        ("Bob saw.", 0, "does not contain the answer"),
    ],
)
def test_an_answer_elsewhere_is_told_with_its_place(context: str, start: int, said: str) -> None:
    answers = [{"text": "Ann", "start": start}]
    with pytest.raises(BadLine, match=said):
        asked(jsonl([{"question": "Who?", "context": context, "answers": answers}]), "rows.jsonl")


def test_one_answer_may_stand_without_its_list() -> None:
    answer = {"text": "Ann", "answer_start": 0.0}
    rows = jsonl([{"question": "Who?", "context": "Ann saw.", "answers": answer}])
    assert asked(rows, "rows.jsonl")[0].label == (("Ann", 0),)
