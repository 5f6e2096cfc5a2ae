"""Metrics: by the libraries, by us, and as sums over rows that can be resampled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer
from seqeval.metrics import classification_report

from trainer.heads import HEAD_DATA
from trainer.metrics.rouge import rouge
from trainer.report.classes import score_classes
from trainer.report.scores import build_scores
from trainer.report.test_metrics import compute_metrics

RANDOM = np.random.default_rng(7)
LABELS = ["ant", "bee", "cow"]
TAGS = ["O", "B-a", "I-a", "B-b"]


def _labels(num: int) -> list[str]:
    return [str(each) for each in RANDOM.choice(LABELS, num)]


def _several(num: int) -> list[list[str]]:
    return [sorted(set(_labels(int(RANDOM.integers(0, 3))))) for _ in range(num)]


def _tags(num: int) -> list[list[str]]:
    return [[str(tag) for tag in RANDOM.choice(TAGS, 6)] for _ in range(num)]


def _numbers(num: int) -> list[float]:
    return [float(each) for each in RANDOM.normal(size=num)]


def _words(num: int) -> list[str]:
    return [" ".join(_labels(4)) for _ in range(num)]


CASES: dict[str, tuple[str, list[Any], list[Any]]] = {
    "one label": ("classify", _labels(80), _labels(80)),
    "several labels": ("classify", _several(80), _several(80)),
    "values": ("regress", _numbers(80), _numbers(80)),
    "entities": ("tag", _tags(80), _tags(80)),
    "answers": ("span", [[[word, 0]] for word in _words(80)], _words(80)),
    "ranks": ("embed", [None] * 80, [int(each) for each in RANDOM.integers(1, 5, 80)]),
    "likenesses": ("embed", _numbers(80), _numbers(80)),
    "relevance": (
        "rerank",
        [float(i % 2) for i in range(80)],
        [float(x) for x in RANDOM.random(80)],
    ),
    "texts": ("generate", _words(80), _words(80)),
    "written numbers": (
        "generate",
        [f"{x:.1f}" for x in _numbers(80)],
        ["none", *(f"{x:.1f}" for x in _numbers(79))],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_metrics_of_test_rows_agree_with_those_of_dev_rows(case: str) -> None:
    head, truth, guesses = CASES[case]
    ours, theirs = HEAD_DATA[head].measure(truth, guesses), compute_metrics(head, truth, guesses)
    assert set(ours) <= set(theirs)
    for name, value in ours.items():
        assert theirs[name] == pytest.approx(value, rel=1e-6), name


@pytest.mark.parametrize("case", CASES)
def test_every_score_of_all_rows_once_is_the_metric(case: str) -> None:
    head, truth, guesses = CASES[case]
    measured, once = compute_metrics(head, truth, guesses), np.ones((1, len(truth)))
    scores = build_scores(head, truth, guesses)
    first = next(name for name in HEAD_DATA[head].metrics if name in measured)
    assert scores[0].name == first
    for score in scores:
        assert score.resample(once)[0] == pytest.approx(measured[score.name]), score.name


@pytest.mark.parametrize("case", CASES)
def test_a_resampled_score_is_the_metric_of_the_rows_drawn(case: str) -> None:
    head, truth, guesses = CASES[case]
    drawn = np.random.default_rng(1).integers(0, len(truth), len(truth))
    counts = np.bincount(drawn, minlength=len(truth)).astype(float)[None]
    again = compute_metrics(head, [truth[i] for i in drawn], [guesses[i] for i in drawn])
    for score in build_scores(head, truth, guesses):
        assert score.resample(counts)[0] == pytest.approx(again[score.name]), score.name


@pytest.mark.parametrize("case", CASES)
def test_exchanged_answers_score_as_the_mixture_does(case: str) -> None:
    head, truth, guesses = CASES[case]
    other = guesses[::-1]
    given = np.random.default_rng(2).random((1, len(truth))) < 0.5
    mixed = [b if g else a for a, b, g in zip(guesses, other, given[0], strict=True)]
    # of labels the columns are those that both sides know
    pairs = zip(build_scores(head, truth, guesses), build_scores(head, truth, other), strict=True)
    expected = compute_metrics(head, truth, mixed)
    for ours, theirs in pairs:
        assert ours.swap(theirs, given)[0] == pytest.approx(expected[ours.name]), ours.name


def test_a_task_of_lists_with_a_single_label_has_metrics() -> None:
    measured = compute_metrics("classify", [["ant"], []], [["ant"], ["ant"]])
    assert (measured["f1_per_label"], measured["exact"]) == ({"ant": pytest.approx(2 / 3)}, 0.5)


def test_rouge_equals_the_usual_library_on_any_texts() -> None:
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    words = ["the", "cat", "sat", "on", "a", "mat", "7"]
    for _ in range(100):
        x, y = (" ".join(RANDOM.choice(words, int(RANDOM.integers(0, 9)))) for _ in range(2))
        right = {name: score.fmeasure for name, score in scorer.score(x, y).items()}
        assert rouge([x], [y]) == pytest.approx(right), (x, y)


def test_rouge_is_the_mean_of_the_rows() -> None:
    found = rouge(["the cat sat", "one two"], ["The cat ran!", "two one"])
    assert found == pytest.approx({"rouge1": (2 / 3 + 1) / 2, "rouge2": 0.25, "rougeL": 7 / 12})


def test_the_entities_of_each_type_equal_seqeval_s() -> None:
    truth, guesses = _tags(60), [*_tags(59), ["B-c", "I-c", "O", "O", "O", "O"]]
    right = classification_report(truth, guesses, output_dict=True, zero_division=0)
    rows = {row.pop("label"): row for row in score_classes("tag", truth, guesses)}
    assert set(rows) == {"a", "b", "c"}
    for name, row in rows.items():
        assert row["rows"] == right[name]["support"]
        assert row["f1"] == pytest.approx(right[name]["f1-score"])
        assert row["precision"] == pytest.approx(right[name]["precision"])
        assert row["recall"] == pytest.approx(right[name]["recall"])


def test_rouge_knows_words_beyond_the_english_alphabet() -> None:
    assert compute_metrics("generate", ["größer"], ["größer"])["rougeL"] == 1.0
    assert compute_metrics("generate", ["новый"], ["старый"])["rougeL"] == 0.0


def test_constant_values_have_no_correlation_and_no_warning() -> None:
    found = compute_metrics("regress", [1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    assert found["pearson"] is None
    assert found["rmse"] == pytest.approx(np.sqrt(2 / 3))
