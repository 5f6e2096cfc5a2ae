"""The other models in a report, and the trials of a search: tables, and what they say in words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.trainer.report.sample import evidence, trial, whole_report
from trainer.report.compose import compose
from trainer.report.page.page import render_page
from trainer.report.rivals import describe_majority
from trainer.report.search_trials import list_trials

OWN = {"kind": "lora", "learning_rate": 1e-3, "rank": 8}


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return whole_report()


def searched(*trials: dict[str, Any], chosen: int = 0) -> Any:
    found = {"chosen": chosen, "trials": list(trials), "settings": OWN}
    return list_trials(found, ["accuracy"])


def test_every_other_model_has_its_metrics_an_interval_and_a_paired_test(
    report: dict[str, Any],
) -> None:
    rivals = {rival["name"]: rival for rival in report["rivals"]}
    assert list(rivals) == [
        "tfidf+logistic", "majority class", "version 3 (production)", "full fine-tuning",
    ]  # fmt: skip
    production = rivals["version 3 (production)"]
    assert production["metrics"]["accuracy"] == pytest.approx(0.1)
    assert production["interval"]["low"] < 0.1 < production["interval"]["high"]
    assert production["comparison"]["gain"] == pytest.approx(0.8)
    assert production["comparison"]["p"] < 0.001
    assert [each["kind"] for each in report["comparisons"]] == ["baseline", "production"]


def test_production_is_a_column_of_the_metrics_with_the_gain_and_its_p(
    report: dict[str, Any],
) -> None:
    shown = " ".join(render_page("mood@4", [], report).split())
    assert '<th class="num">version 3 (production)</th>' in shown
    assert '<td class="num">+0.800<span class="small">' in shown
    assert '4.7e-10<span class="small">McNemar, exact</span>' in shown


def test_a_report_of_an_earlier_release_shows_its_baselines(report: dict[str, Any]) -> None:
    earlier = {name: part for name, part in report.items() if name not in ("rivals", "majority")}
    assert '<th class="num">majority class</th>' in render_page("mood@4", [], earlier)


@pytest.mark.parametrize(
    ("head", "answer", "words"),
    [
        ({"kind": "classify"}, "ham", "The most frequent label, ham, alone gives m 0.625."),
        ({"kind": "classify"}, [], "What at least half of the training rows have (no label) alone"),
        ({"kind": "classify"}, ["a", "b"], "training rows have (a, b) alone gives"),
        ({"kind": "regress"}, 2.5, "The mean of the training labels, 2.5, alone gives"),
        ({"kind": "tag"}, ["O", "O"], "Predicting no entity at all gives"),
        ({"kind": "embed"}, 3, "A constant answer alone gives"),
    ],
)
def test_the_constant_answer_is_said_in_words(head: Any, answer: Any, words: str) -> None:
    said = describe_majority(head, [answer, answer], {"m": 0.625}, "m")
    assert said is not None
    assert words in said
    assert describe_majority(head, [answer], {"m": None}, "m") is None


def test_the_trials_of_a_search_show_every_setting_that_varies_and_the_winner() -> None:
    found = searched(
        trial(0, {}, "completed", 0.7), trial(1, {"rank": 32}, "completed", 0.8), chosen=1
    )
    assert [row["settings"] for row in found["trials"]] == [{"rank": 8}, {"rank": 32}]
    assert [row["value"] for row in found["trials"]] == [0.7, 0.8]
    assert found["words"] == "Of 2 trials, trial 1 has the best dev accuracy, 0.800: rank 32."


def test_trials_that_were_pruned_or_diverged_are_counted() -> None:
    diverged = trial(2, {"rank": 64}, "diverged", 0.0) | {"dev": {}}
    found = searched(trial(0, {}, "completed", 0.7), trial(1, {"rank": 4}, "pruned", 0.5), diverged)
    assert found["words"].startswith("Of 3 trials (1 pruned, 1 diverged), trial 0 has")
    assert found["trials"][2]["value"] is None


def test_a_trial_of_another_kind_has_no_setting_that_the_kind_lacks() -> None:
    found = searched(
        trial(0, {}, "completed", 0.7),
        trial(1, {"rank": 32}, "completed", 0.6),
        trial(2, {"kind": "bottleneck"}, "pruned", 0.5),
    )
    assert found["trials"][2]["settings"] == {"kind": "bottleneck"}


def test_the_page_marks_the_trial_that_won(report: dict[str, Any]) -> None:
    shown = " ".join(render_page("mood@4", [], report).split())
    assert "<h2>Search</h2>" in shown
    assert '<tr class="chosen"> <td class="num">1</td> <td class="num">32</td>' in shown
    assert "<td>pruned after 1 of 3 epochs</td>" in shown


def test_a_job_without_a_search_has_no_trials() -> None:
    report = compose(evidence() | {"search": None})["report"]
    assert report["search"] is None
    assert "<h2>Search</h2>" not in render_page("mood@4", [], report)
