"""Rows of each head: what is read, what is refused, and what answers are worth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from tests.trainer.build import (
    pair_rows,
    question_rows,
    read_examples,
    relevance_rows,
    tag_rows,
    topic_rows,
)
from trainer.dataset.examples import check_trainable, labels_of
from trainer.dataset.split import split_examples
from trainer.errors import BadDataset, BadLine, MissingColumn, OneClass
from trainer.heads import HEAD_DATA
from trainer.heads.embed import partner_ranks
from trainer.jobs.values import JobSpec
from trainer.metrics.metrics import multi_label, ranking
from trainer.metrics.squad import answering
from trainer.readers.example import Example
from trainer.readers.reader import Record
from trainer.settings.settings import TrainingSettings

USUAL = TrainingSettings()


def read(rows: list[dict[str, Any]], head: str, **given: Any) -> list[Example]:
    spec = JobSpec(tenant="t", task="t", file_id="f", head=head, **given)
    records = (Record(line=i, fields=row) for i, row in enumerate(rows, start=1))
    return read_examples(records, spec)


def test_a_list_of_labels_makes_a_multi_label_head() -> None:
    rows = read(topic_rows(), "classify")
    assert rows[3].label == ("cost", "time")
    assert labels_of(rows, "classify") == ["cost", "time"]
    head = HEAD_DATA["classify"].settings(rows, TrainingSettings(threshold=0.3))
    assert head == {"input": "text", "multi_label": True, "threshold": 0.3}
    check_trainable(rows, "classify")


@pytest.mark.parametrize(
    "cell", ["['a', 'b']", '["a", "b"]', "('a', 'b')", "{'b', 'a'}", "('a', 'b',)"]
)
def test_a_cell_that_is_a_list_has_several_labels(cell: str) -> None:
    assert read([{"text": "t", "label": cell}], "classify")[0].label == ("a", "b")


@pytest.mark.parametrize("cell", ["(1, 2)", "(a)", "{a}", "[REDACTED]", "{'a': 1}"])
def test_brackets_alone_make_no_list(cell: str) -> None:
    assert read([{"text": "t", "label": cell}], "classify")[0].label == cell


@pytest.mark.parametrize("cell", ["[0 1]", "[1. 0.]", "['a' 'b']"])
def test_an_array_of_numpy_written_as_text_is_refused(cell: str) -> None:
    with pytest.raises(BadLine, match="Line 1: label is an array written as text"):
        read([{"text": "t", "label": cell}], "classify")


@pytest.mark.parametrize("given", [[1, 0, 0], [0.0, 1.0, 1.0], "[0, 0, 1]", [False, False]])
def test_zeros_and_ones_for_each_class_are_refused(given: object) -> None:
    with pytest.raises(BadLine, match="write a list with the names of the classes that apply"):
        read([{"text": "t", "label": given}], "classify")


@pytest.mark.parametrize("value", [1e308, -1e39, 10**400, "1e300"])
def test_a_number_that_cannot_be_computed_with_is_refused(value: object) -> None:
    with pytest.raises(
        BadLine, match=r"Line 1: label is .*; the largest allowed number is 3\.4e\+38"
    ):
        read([{"text": "t", "label": value}], "regress")


def test_one_label_and_a_list_of_them_do_not_go_together() -> None:
    rows = [{"text": "a", "label": ["x"]}, {"text": "b", "label": "x"}]
    with pytest.raises(
        BadLine, match=r'Line 2 has the label "x" and line 1 has \["x"\].* "x" is \["x"\]'
    ):
        read(rows, "classify")


def test_lists_that_are_all_the_same_teach_nothing() -> None:
    rows = read([{"text": f"a{i}", "label": ["x"]} for i in range(30)], "classify")
    with pytest.raises(OneClass, match="same list of labels"):
        check_trainable(rows, "classify")


def test_each_label_of_a_multi_label_file_keeps_rows_to_train_on() -> None:
    rows = read([*topic_rows(), {"text": "alone", "label": ["rare"]}], "classify")
    with pytest.raises(BadDataset, match="label 'rare' has too few rows"):
        split_examples(rows, head="classify", seed=0, dev_share=0.1, test_share=0.2)


def test_pairs_make_a_head_that_takes_pairs() -> None:
    rows = read([{"text": "a", "b": "b", "label": "x"}], "classify", text_pair_column="b")
    assert HEAD_DATA["classify"].settings(rows, USUAL)["input"] == "pair"


def test_a_question_has_a_context_and_answers_in_it() -> None:
    rows = read(question_rows(), "span")
    assert (rows[1].text, rows[1].pair, rows[1].label) == ("who?", "see Zoe1 now", (("Zoe1", 4),))
    assert HEAD_DATA["span"].settings(rows, USUAL)["no_answer"] is True
    assert HEAD_DATA["span"].settings(rows[1:2], USUAL)["no_answer"] is False


def test_answers_may_come_as_squad_writes_them() -> None:
    answers = {"text": ["Zoe"], "answer_start": [4]}
    (row,) = read([{"question": "who?", "context": "see Zoe", "answers": answers}], "span")
    assert row.label == (("Zoe", 4),)


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ([{"text": "Zoe", "start": 5}], "'Zoe' starts at character 5; the context has 'oe' there"),
        ([{"text": "Zoe"}], "needs a text and a start"),
        ([{"text": "", "start": 0}], "needs a text and a start"),
        ("Zoe", "must be a list of"),
        ({"text": ["Zoe"], "answer_start": []}, "must be a list of"),
    ],
)
def test_an_answer_that_is_not_there_is_named(answers: Any, sentence: str) -> None:
    with pytest.raises(BadLine, match=sentence):
        read([{"question": "who?", "context": "see Zoe", "answers": answers}], "span")


def test_questions_without_any_answer_teach_nothing() -> None:
    rows = [{"question": f"q{i}", "context": "c", "answers": []} for i in range(30)]
    with pytest.raises(OneClass, match="None of the 30 rows has an answer"):
        check_trainable(read(rows, "span"), "span")


def test_a_span_file_needs_a_context() -> None:
    with pytest.raises(MissingColumn, match="no column 'context'"):
        read([{"question": "q", "answers": []}], "span")


def test_partners_come_without_scores_or_all_with_one() -> None:
    assert read(pair_rows(), "embed")[0].label is None
    scored = [{"text": "a", "text_pair": "b", "label": 0.5}]
    assert read(scored, "embed")[0].label == 0.5
    with pytest.raises(BadLine, match="Line 2 has no score and line 1 has one"):
        read([*scored, {"text": "c", "text_pair": "d"}], "embed")
    with pytest.raises(BadLine, match="between -1 and 1"):
        read([{"text": "a", "text_pair": "b", "label": 3}], "embed")


def test_relevance_is_between_0_and_1() -> None:
    assert {row.label for row in read(relevance_rows(), "rerank")} == {0.0, 1.0}
    with pytest.raises(BadLine, match="relevance is between 0 and 1"):
        read([{"text": "a", "text_pair": "b", "label": 2}], "rerank")
    rows = read([{"text": f"a{i}", "text_pair": "b", "label": 0} for i in range(30)], "rerank")
    with pytest.raises(OneClass, match="All pairs are irrelevant"):
        check_trainable(rows, "rerank")


def test_a_pair_head_needs_a_second_text() -> None:
    with pytest.raises(MissingColumn, match="no column 'text_pair'"):
        read([{"text": "a", "label": 1}], "rerank")


def test_bioes_tags_are_read_and_unknown_schemes_refused() -> None:
    rows = read([{"tokens": ["a", "b"], "ner_tags": ["S-x", "O"]}], "tag")
    assert labels_of(rows, "tag") == ["O", "B-x", "I-x", "E-x", "S-x"]
    with pytest.raises(BadLine, match="Line 1: the tag 'X-x' of 'a' is no tag of BIO"):
        read([{"tokens": ["a"], "ner_tags": ["X-x"]}], "tag")
    assert HEAD_DATA["tag"].settings(read(tag_rows(), "tag"), TrainingSettings(window=32)) == {
        "input": "text", "window": 32, "stride": None,
    }  # fmt: skip


def test_multi_label_metrics_are_those_of_scikit_learn() -> None:
    random, names = np.random.default_rng(0), ["a", "b", "c"]
    x, y = random.random((2, 40, 3)) < 0.4
    truth, guesses = (
        [tuple(n for n, yes in zip(names, row, strict=True) if yes) for row in rows]
        for rows in (x, y)
    )
    found = multi_label(truth, guesses)
    scores = sk.f1_score(x, y, average=None)
    assert found["micro_f1"] == pytest.approx(sk.f1_score(x, y, average="micro"))
    assert found["macro_f1"] == pytest.approx(scores.mean())
    assert found["f1_per_label"] == pytest.approx(dict(zip(names, scores, strict=True)))
    assert found["exact"] == pytest.approx(sk.accuracy_score(x, y))


def test_ranking_metrics_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    truth, scores = random.integers(0, 2, 50), random.integers(0, 10, 50) / 10
    found = ranking(truth.tolist(), scores.tolist())
    assert found["auc"] == pytest.approx(sk.roc_auc_score(truth, scores))
    assert found["f1"] == pytest.approx(sk.f1_score(truth, scores > 0.5))


def test_relevance_of_one_sort_has_no_auc() -> None:
    assert ranking([1.0, 1.0], [0.2, 0.9])["auc"] is None


def test_answers_are_worth_what_squad_says() -> None:
    truth = [["the New York", "York"], [], ["Zoe Smith"]]
    found = answering(truth, ["new york!", "", "Zoe"])
    assert found["exact_match"] == pytest.approx(2 / 3)
    assert found["f1"] == pytest.approx((1 + 1 + 2 / 3) / 3)


def test_a_partner_s_rank_counts_those_more_similar() -> None:
    left = np.eye(3)
    right = np.array([[1.0, 0, 0], [0.9, 0.5, 0], [0, 0.8, 0.1]])
    assert partner_ranks(left, right) == [1, 2, 1]
