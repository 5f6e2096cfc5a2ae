"""Metrics, held to the libraries whose definitions they follow."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as oracle

from engine.heads.tag_scheme import spans
from trainer.metrics.metrics import (
    classification,
    count_labels,
    multi_label,
    precision_recall_f1,
    regression,
    tagging,
    word_f1,
)

RANDOM = np.random.default_rng(0)
TAGS = ["O", "B-a", "I-a", "B-b", "I-b"]


def test_accuracy_and_f1_equal_scikit_learn() -> None:
    truth = RANDOM.choice(["x", "y", "z"], 300, p=[0.7, 0.2, 0.1]).tolist()
    guesses = RANDOM.choice(["x", "y", "z"], 300).tolist()
    found = classification(truth, guesses)
    assert found["accuracy"] == pytest.approx(oracle.accuracy_score(truth, guesses))
    assert found["macro_f1"] == pytest.approx(oracle.f1_score(truth, guesses, average="macro"))
    each = oracle.f1_score(truth, guesses, average=None)
    assert list(found["f1_per_class"].values()) == pytest.approx(each.tolist())


def test_several_labels_of_a_row_score_as_scikit_learn_scores_them() -> None:
    names = ["x", "y", "z"]
    x, y = RANDOM.random((2, 100, 3)) < 0.4
    truth, guesses = ([[names[k] for k in np.flatnonzero(row)] for row in side] for side in (x, y))
    found = multi_label(truth, guesses)
    assert found["micro_f1"] == oracle.f1_score(x, y, average="micro")
    assert found["macro_f1"] == pytest.approx(oracle.f1_score(x, y, average="macro"))
    assert found["exact"] == oracle.accuracy_score(x, y)
    assert list(found["f1_per_label"].values()) == oracle.f1_score(x, y, average=None).tolist()


def test_the_counts_of_each_label_give_scikit_learn_s_precision_and_recall() -> None:
    truth = RANDOM.choice(["x", "y", "z"], 100).tolist()
    guesses = RANDOM.choice(["w", "x", "y"], 100).tolist()
    counts = count_labels([[label] for label in truth], [[label] for label in guesses])
    found = [(*precision_recall_f1(*matches), matches.num_true) for matches in counts.values()]
    expected = oracle.precision_recall_fscore_support(truth, guesses, zero_division=0.0)
    assert list(counts) == ["w", "x", "y", "z"]
    assert found == list(zip(*(part.tolist() for part in expected), strict=True))


@pytest.mark.parametrize(
    ("truth", "guess", "f1"),
    [("a b b", "b b c", 2 / 3), ("a", "b", 0.0), ("", "a", 0.0), ("", "", 1.0)],
)
def test_words_count_as_often_as_both_texts_have_them(truth: str, guess: str, f1: float) -> None:
    assert word_f1(truth.split(), guess.split()) == pytest.approx(f1)


def test_correlations_and_errors_equal_scipy() -> None:
    truth = RANDOM.integers(0, 9, 200).astype(float)
    guesses = truth + RANDOM.normal(size=200).round(1)
    found = regression(truth.tolist(), guesses.tolist())
    assert found["pearson"] == pytest.approx(stats.pearsonr(truth, guesses).statistic)
    assert found["spearman"] == pytest.approx(stats.spearmanr(truth, guesses).statistic)
    assert found["rmse"] == pytest.approx(oracle.root_mean_squared_error(truth, guesses))
    assert found["mae"] == pytest.approx(oracle.mean_absolute_error(truth, guesses))


@pytest.mark.parametrize("far_off", [1e200, -1e308])
def test_a_number_whose_square_is_none_is_an_error_that_is_one(far_off: float) -> None:
    found = regression([1.0, 2.0, 1e308], [1.0, 2.0, far_off])
    assert all(math.isfinite(value) for value in found.values())
    assert found["rmse"] >= 1e307


def test_a_correlation_with_a_constant_has_no_value() -> None:
    assert regression([1.0, 2.0], [3.0, 3.0])["pearson"] is None


def test_entity_f1_equals_seqeval_on_any_tags() -> None:
    seqeval = pytest.importorskip("seqeval.metrics")
    truth = [RANDOM.choice(TAGS, 12).tolist() for _ in range(100)]
    guesses = [RANDOM.choice(TAGS, 12).tolist() for _ in range(100)]
    found = tagging(truth, guesses)
    assert found["f1"] == pytest.approx(seqeval.f1_score(truth, guesses))
    assert found["precision"] == pytest.approx(seqeval.precision_score(truth, guesses))
    assert found["recall"] == pytest.approx(seqeval.recall_score(truth, guesses))
    assert found["token_accuracy"] == pytest.approx(seqeval.accuracy_score(truth, guesses))


def test_an_i_tag_continues_only_its_own_type() -> None:
    tags = ["I-a", "I-a", "I-b", "O", "B-b", "B-b"]
    assert spans(tags) == [("a", 0, 2), ("b", 2, 3), ("b", 4, 5), ("b", 5, 6)]
