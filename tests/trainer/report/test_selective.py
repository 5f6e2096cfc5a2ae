"""Coverage against accuracy, and thresholds that dev rows choose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from engine.heads import HEADS
from trainer.report.selective import Selective, score_selective, wilson_interval

HEAD = HEADS["classify"].check({"kind": "classify", "labels": ["no", "yes"]})


def logit(share: float) -> list[float]:
    """Two logits of which the second label has this probability."""
    return [0.0, float(np.log(share / (1 - share)))]


def rows(*parts: tuple[int, float, int]) -> tuple[list[list[float]], list[str]]:
    """Of each part (rows, confidence in yes, rows that are yes)."""
    logits = [logit(share) for num, share, _ in parts for _ in range(num)]
    truth = ["yes" if index < right else "no" for num, _, right in parts for index in range(num)]
    return logits, truth


MIXED = rows((40, 0.97, 40), (20, 0.85, 18), (40, 0.6, 24))


def score(test: Any = MIXED, dev: Any = MIXED, **head: Any) -> Selective:
    found = score_selective({**HEAD, **head}, test, dev)
    assert found is not None
    return found


def test_coverage_and_accuracy_of_the_rows_above_each_threshold() -> None:
    found = score()["thresholds"]
    assert [(each["threshold"], each["rows"], each["accuracy"]) for each in found] == [
        (0.5, 100, 0.82), (0.8, 60, pytest.approx(58 / 60)), (0.9, 40, 1.0), (0.95, 40, 1.0),
    ]  # fmt: skip
    assert found[1]["words"] == (
        "Answering only when the confidence is at least 0.80 covers 60 % of the test rows, 0.967 "
        "of them right (95 % interval 0.886 to 0.991)."
    )


def test_a_threshold_that_no_row_reaches_says_so() -> None:
    found = score(rows((50, 0.7, 40)))["thresholds"]
    assert found[2]["accuracy"] is None
    assert found[2]["words"] == "No test row has a confidence of 0.90 or more."


def test_the_intervals_are_those_of_scipy() -> None:
    expected = binomtest(58, 60).proportion_ci(0.95, method="wilson")
    assert wilson_interval(58, 60) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert wilson_interval(9, 9)[0] < 0.71


def test_the_confidence_is_the_one_that_is_served() -> None:
    served = score(temperature=4.0)["thresholds"]
    assert [each["rows"] for each in served] == [100, 0, 0, 0]


def test_a_threshold_is_chosen_on_dev_rows_and_confirmed_on_test_rows() -> None:
    test = rows((40, 0.97, 38), (60, 0.6, 36))
    targets = score(test, MIXED)["targets"]
    assert [each["accuracy"] for each in targets] == [0.9, 0.95, 0.99]
    first, last = targets[0], targets[-1]
    assert first["dev"]["threshold"] == pytest.approx(0.85, abs=0.0011)
    assert first["dev"]["rows"] == 60
    assert (last["dev"]["accuracy"], last["test"]["accuracy"]) == (1.0, 0.95)
    assert last["words"].startswith(
        "For an accuracy of 0.99, 100 dev rows choose the threshold 0.9"
    )
    assert ": it covers 40 % of the test rows, 0.950 of them right (" in last["words"]


@pytest.mark.parametrize(
    ("dev", "words"),
    [
        (rows((19, 0.9, 15)), "19 dev rows are too few; 20 are needed"),
        (rows((50, 0.9, 50)), "the dev rows reach it without a threshold, or not at all"),
        (rows((50, 0.9, 30)), "the dev rows reach it without a threshold, or not at all"),
        (rows((5, 0.99, 5), (45, 0.6, 30)), "or not at all"),
    ],
    ids=["few rows", "all right", "no threshold helps", "a few sure rows prove nothing"],
)
def test_where_dev_rows_choose_no_threshold_the_report_says_why(dev: Any, words: str) -> None:
    found = score(MIXED, dev)
    assert found["targets"] == []
    assert words in str(found["note"])


def test_the_curve_ends_with_all_rows_and_takes_rows_of_equal_confidence_together() -> None:
    found = score()
    assert [point[:2] for point in found["curve"]] == [
        (0.4, 1.0), (0.6, pytest.approx(58 / 60)), (1.0, 0.82),
    ]  # fmt: skip
    assert found["aurc"] == pytest.approx(0.2 * (2 / 60) + 0.4 * 0.18)


def test_a_long_curve_is_thinned() -> None:
    random = np.random.default_rng(0)
    many = rows(*((1, float(share), 1) for share in random.uniform(0.51, 0.99, 900)))
    assert 30 < len(score(many)["curve"]) <= 61


def test_a_head_that_does_not_choose_one_label_has_no_coverage() -> None:
    assert score_selective({**HEAD, "multi_label": True}, MIXED, MIXED) is None
    assert score_selective({"kind": "regress"}, ([], [1.0]), ([], [])) is None
