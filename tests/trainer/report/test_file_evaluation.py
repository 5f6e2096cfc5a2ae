"""The report's figures for predictions on any file, and the words about two versions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.trainer.build import examples
from trainer.report.file_evaluation import AnsweredFile, compare_files, evaluate_file


def answered(head: str, labels: list[Any], guesses: list[Any]) -> AnsweredFile:
    return AnsweredFile(head=head, labels=(), examples=examples(labels), guesses=guesses)


@pytest.mark.parametrize(
    ("head", "labels", "guesses"),
    [
        ("regress", [1.0, 1.0, 1.0], [2.0, 2.0, 2.0]),
        ("classify", ["a"] * 3, ["b"] * 3),
        ("rerank", [1.0] * 3, [0.5] * 3),
    ],
)
def test_figures_without_a_value_are_null(head: str, labels: list[Any], guesses: list[Any]) -> None:
    evaluation = evaluate_file(answered(head, labels, guesses))
    assert json.loads(json.dumps(evaluation, allow_nan=False))["rows"] == 3


@pytest.mark.parametrize(
    ("theirs", "decision", "words"),
    [
        (
            ["b"] * 40,
            "better",
            "x@2 is significantly better than x@1: accuracy 1.000 against 0.000",
        ),
        (
            ["a"] * 40,
            "cannot_tell",
            "Cannot tell x@2 from x@1 on 40 rows: accuracy 1.000 against 1",
        ),
    ],
)
def test_a_comparison_is_a_decision_with_its_figures(
    theirs: list[str], decision: str, words: str
) -> None:
    labels = ["a"] * 40
    files = answered("classify", labels, labels), answered("classify", labels, theirs)
    comparison = compare_files(*files, ("x@2", "x@1"))
    assert comparison["decision"] == decision
    assert comparison["words"].startswith(words)


def test_versions_without_a_metric_on_the_rows_cannot_be_told_apart() -> None:
    file = answered("rerank", [1.0, 1.0], [0.4, 0.6])
    comparison = compare_files(file, file, ("x@2", "x@1"))
    assert comparison["decision"] == "cannot_tell"
    assert "no metric has a value" in comparison["words"]


def test_slices_by_length_count_words_where_there_is_no_tokenizer() -> None:
    labels = ["a"] * 60
    texts = ["short"] * 30 + ["a much longer text"] * 30
    guesses = ["a"] * 30 + ["b"] * 30
    file = AnsweredFile(
        head="classify", labels=("a", "b"), examples=examples(labels, texts), guesses=guesses
    )
    names = [part["slice"] for part in evaluate_file(file)["slices"]]
    assert names
    assert all("words" in name for name in names)
