"""Intervals and paired tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from trainer.report.comparison import compare_models
from trainer.report.resampling import compare_scores, compute_intervals
from trainer.report.scores import build_scores

TRUTH = ["yes", "no"] * 100


def wrong_at(*rows: int) -> list[str]:
    return [("no" if t == "yes" else "yes") if i in rows else t for i, t in enumerate(TRUTH)]


def interval(guesses: list[str]) -> Any:
    return compute_intervals(build_scores("classify", TRUTH, guesses), len(TRUTH))["accuracy"]


def test_an_interval_is_that_of_the_binomial_distribution() -> None:
    found = interval(wrong_at(*range(0, 200, 5)))
    error = 1.96 * np.sqrt(0.8 * 0.2 / 200)
    assert found["value"] == pytest.approx(0.8)
    assert found["low"] == pytest.approx(0.8 - error, abs=0.012)
    assert found["high"] == pytest.approx(0.8 + error, abs=0.012)


def errors_of(scale: float) -> tuple[list[float], np.ndarray]:
    """Predictions of zeros, and their squared errors."""
    guesses = np.random.default_rng(int(scale * 10)).normal(scale=scale, size=30)
    return guesses.tolist(), guesses**2


def root_mean(squares: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.sqrt(np.mean(squares, axis=axis))


def test_an_interval_agrees_with_scipy_s_percentile_bootstrap() -> None:
    guesses, squares = errors_of(1.0)
    ours = compute_intervals(build_scores("regress", [0.0] * 30, guesses), 30)["rmse"]
    theirs = stats.bootstrap(
        (squares,), root_mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours["low"] == pytest.approx(theirs.low, abs=0.08 * width)
    assert ours["high"] == pytest.approx(theirs.high, abs=0.08 * width)


@pytest.mark.parametrize("scale", [1.1, 1.3, 1.6, 2.0])
def test_a_paired_test_agrees_with_scipy_s_permutation_test(scale: float) -> None:
    (near, near_squares), (far, far_squares) = errors_of(1.0), errors_of(scale)
    truth = [0.0] * 30
    scores = [build_scores("regress", truth, guesses)[0] for guesses in (near, far)]
    ours = compare_scores(scores[0], scores[1], 30)
    theirs = stats.permutation_test(
        (near_squares, far_squares),
        lambda x, y, axis: root_mean(x, axis) - root_mean(y, axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=4000,
        rng=np.random.default_rng(0),
    )
    assert ours is not None
    assert ours["gain"] == pytest.approx(-theirs.statistic)
    assert ours["p"] == pytest.approx(theirs.pvalue, abs=0.05)


def test_the_same_answers_have_the_same_interval() -> None:
    assert interval(wrong_at(1, 2, 3)) == interval(wrong_at(1, 2, 3))


def test_a_metric_without_a_value_has_no_interval() -> None:
    found = compute_intervals(build_scores("classify", ["a", "a"], ["a", "a"]), 2)
    assert "mcc" not in found
    assert found["accuracy"] == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_right_and_wrong_are_compared_by_mcnemar_s_exact_test() -> None:
    ours, theirs = wrong_at(0), wrong_at(1, 2, 3, 4, 5, 6, 7)
    found = compare_models("classify", TRUTH, ours, theirs, "that")
    assert found is not None
    # eight rows tell them apart, one of them for the other: 2 · (1 + 8) / 2⁸
    assert (found["test"], found["p"]) == ("McNemar, exact", pytest.approx(18 / 256))
    assert found["gain"] == pytest.approx(6 / 200)
    assert found["words"].startswith("No significant difference from that")


def test_equal_answers_cannot_be_told_apart() -> None:
    found = compare_models("classify", TRUTH, wrong_at(3), wrong_at(3), "that")
    assert found is not None
    assert (found["gain"], found["p"], found["low"], found["high"]) == (0, 1, 0, 0)


def test_a_smaller_error_is_a_gain() -> None:
    truth = [float(i) for i in range(60)]
    near, far = [t + 0.1 for t in truth], [t + (-1) ** i for i, t in enumerate(truth)]
    found = compare_models("regress", truth, near, far, "that")
    assert found is not None
    assert found["gain"] == pytest.approx(0.9)
    assert found["p"] < 0.01
    assert found["words"].startswith("Better than that: rmse 0.100 against 1.000")


def test_a_worse_model_is_said_to_be_worse() -> None:
    found = compare_models("classify", TRUTH, wrong_at(*range(40)), TRUTH, "that")
    assert found is not None
    assert found["high"] < 0
    assert found["words"].startswith("Worse than that")


def test_permuted_entities_agree_with_what_chance_gives() -> None:
    """Of twenty rows each wrong in one model at random, no p-value is small."""
    truth = [["B-a", "O"]] * 20
    ours = [["B-a", "O"] if i % 2 else ["O", "O"] for i in range(20)]
    theirs = [["O", "O"] if i % 2 else ["B-a", "O"] for i in range(20)]
    scores = [build_scores("tag", truth, side)[0] for side in (ours, theirs)]
    found = compare_scores(scores[0], scores[1], 20)
    assert found is not None
    assert (found["gain"], found["test"], found["p"]) == (0, "permutation", 1.0)


def test_many_rows_are_resampled_within_bounded_memory() -> None:
    truth = ["a", "b"] * 30_000
    found = compute_intervals(build_scores("classify", truth, truth[::-1])[:1], len(truth))
    assert found["accuracy"]["value"] == 0.0
