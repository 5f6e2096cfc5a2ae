"""The verdict follows from the sections of a report by the stated rules."""

from __future__ import annotations

from typing import Any

import pytest

from trainer.report.verdict import decide

LEAK = {"code": "near_leak", "severity": "warning", "message": "3 test rows repeat training rows."}
CUT = {"code": "truncated", "severity": "warning", "message": "2 rows were cut."}
SLIGHT_LEAK = LEAK | {"severity": "info"}


def against(kind: str, gain: float, p: float) -> dict[str, Any]:
    """A comparison in which the version has an accuracy of 0.8."""
    name = "the baseline tfidf+logistic" if kind == "baseline" else "version 1 (production)"
    return {
        "kind": kind, "against": name, "metric": "accuracy", "ours": 0.8, "theirs": 0.8 - gain,
        "gain": gain, "p": p,
    }  # fmt: skip


def sections(**changes: Any) -> dict[str, Any]:
    """A version that is significantly better than its baseline."""
    headline = {"metric": "accuracy", "value": 0.8, "more_is_better": True}
    usual = {
        "headline": headline, "rows": {"test": 200},
        "baseline": {"name": "tfidf+logistic", "majority": {"accuracy": 0.5, "f1_per_class": {}}},
        "comparisons": [against("baseline", 0.1, 0.001)], "production": None, "findings": [],
        "calibration": {"after": {"ece": 0.02}}, "diverged_seeds": [],
        "preset": "balanced",
    }  # fmt: skip
    return usual | changes


def test_a_version_that_is_significantly_better_ships() -> None:
    verdict = decide(sections())
    assert verdict["decision"] == "ship"
    assert verdict["reasons"] == [
        "It is significantly better than the baseline tfidf+logistic (accuracy 0.800 against "
        "0.700, p = 0.001)."
    ]


@pytest.mark.parametrize(
    ("gain", "p", "beside"),
    [(0.1, 0.01, "better"), (0.1, 0.3, "as_good"), (-0.1, 0.3, "as_good"), (-0.1, 0.01, "worse")],
)
def test_a_verdict_records_how_the_version_compares_with_a_bag_of_words(
    gain: float, p: float, beside: str
) -> None:
    verdict = decide(sections(comparisons=[against("baseline", gain, p)]))
    assert verdict["beside_baseline"] == beside


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({}, "Try `--preset thorough`, more rows or another base; if nothing helps, serve"),
        ({"preset": "thorough"}, "Try more rows or another base;"),
        (
            {"findings": [CUT]},
            "thorough`, a larger `max_tokens`, because texts were cut, more rows",
        ),
    ],
)
def test_a_version_that_a_bag_of_words_beats_is_told_what_to_try(
    changes: dict[str, Any], advice: str
) -> None:
    verdict = decide(sections(comparisons=[against("baseline", -0.1, 0.01)], **changes))
    assert advice in verdict["reasons"][1]


MAJORITY = {"name": "tfidf+logistic", "majority": {"accuracy": 0.8, "f1_per_class": {}}}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"baseline": MAJORITY}, "is no better than the 0.800 of the majority class."),
        ({"comparisons": [against("baseline", -0.1, 0.01)]}, "worse than the baseline tfidf"),
        (
            {"comparisons": [against("baseline", 0.1, 0.01), against("production", -0.1, 0.01)]},
            "worse than version 1 (production)",
        ),
    ],
)
def test_a_version_that_is_worse_than_something_simpler_or_older_does_not_ship(
    changes: dict[str, Any], reason: str
) -> None:
    verdict = decide(sections(**changes))
    assert verdict["decision"] == "do_not_ship"
    assert reason in verdict["reasons"][0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"comparisons": [against("baseline", 0.1, 0.3)]}, "As far as 200 test rows can show"),
        ({"comparisons": []}, "no baseline to compare it with"),
        ({"production": {"skipped": "Version 1 has other labels."}}, "Version 1 has other labels."),
        (
            {"findings": [LEAK]},
            "Its held-out rows are not independent: 3 test rows repeat training rows.",
        ),
        ({"calibration": {"after": {"ece": 0.2}}}, "calibration error is 0.200"),
        ({"diverged_seeds": [4]}, "seed 4 diverged"),
        ({"headline": None}, "No metric can be computed"),
    ],
)
def test_what_weakens_the_figures_leaves_the_verdict_open(
    changes: dict[str, Any], reason: str
) -> None:
    verdict = decide(sections(**changes))
    assert verdict["decision"] == "cannot_tell"
    assert any(reason in sentence for sentence in verdict["reasons"])


@pytest.mark.parametrize(
    "changes",
    [
        {"findings": [SLIGHT_LEAK]},
        {"rows": {"test": 50}, "calibration": {"after": {"ece": 0.2}}},
        {"comparisons": [against("baseline", 0.1, 0.01), against("production", 0.0, 0.9)]},
    ],
    ids=["a slight leak", "an error of few rows", "no difference from production"],
)
def test_what_is_slight_does_not_hold_a_version_back(changes: dict[str, Any]) -> None:
    assert decide(sections(**changes))["decision"] == "ship"


def test_a_smaller_error_beats_the_constant_answer() -> None:
    headline = {"metric": "rmse", "value": 0.4, "more_is_better": False}
    rivals = {"name": "ridge", "majority": {"rmse": 0.5}}
    verdict = decide(sections(headline=headline, baseline=rivals))
    assert verdict["beats_majority"] is True
