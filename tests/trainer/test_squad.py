"""SQuAD's documents: what is read of them, on which line, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trainer.errors import BadDataset
from trainer.table import read_records, read_rows


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
    with pytest.raises(BadDataset, match="not one JSON document"):
        list(read_records(document(ASKED)[:-9], "train.json"))
