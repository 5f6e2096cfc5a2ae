"""The report of a version as the terminal shows it."""

from __future__ import annotations

import webbrowser
from typing import Any

import pytest

from adapterd.cli.report import open_link, print_report
from adapterd.values import ReportLink
from tests.trainer.report.sample import whole_report
from trainer.report.report import summarize_report


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return whole_report()


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Any:
    """Prints the summary of a report, and gives its words with single spaces."""

    def show(report: dict[str, Any]) -> str:
        print_report("mood@4", summarize_report(report))
        return " ".join(capsys.readouterr().out.split())

    return show


def test_a_temperature_that_makes_the_test_rows_worse_is_not_applied_in_silence(
    shown: Any, whole: dict[str, Any]
) -> None:
    words = "It makes the probabilities of the test rows worse."
    calibration = whole["calibration"] | {"is_worse": True, "words": words}
    assert f"! {words}" in shown(whole | {"calibration": calibration})


def test_a_temperature_is_named_with_the_figures_and_not_as_advice(
    shown: Any, whole: dict[str, Any]
) -> None:
    words = "Served probabilities use the temperature 0.8, fitted on 90 dev rows."
    calibration = whole["calibration"] | {"is_worse": False, "words": words}
    assert f"• {words}" in shown(whole | {"calibration": calibration})
    assert not any("temperature" in sentence for sentence in whole["advice"])


def test_the_majority_and_the_winner_of_the_search_are_one_line_each(
    shown: Any, whole: dict[str, Any]
) -> None:
    said = shown(whole)
    assert "• The most frequent label, glad, alone gives accuracy 0.500." in said
    assert "• Of 3 trials (1 pruned), trial 1 has the best dev accuracy, 0.800: rank 32," in said


def test_coverage_and_the_cost_of_errors_are_said_at_the_end_of_a_training(
    shown: Any, whole: dict[str, Any]
) -> None:
    said = shown(whole)
    assert "• Answering only when the confidence is at least 0.50 covers 100 % of the" in said
    assert "• Errors cost 500.0 per 1,000 rows (95 % interval" in said


def test_a_whole_report_is_shown_as_its_summary_is(
    shown: Any, whole: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    print_report("mood@4", whole)
    assert " ".join(capsys.readouterr().out.split()) == shown(whole)


def test_a_version_that_is_never_sure_has_no_line_on_coverage(
    shown: Any, whole: dict[str, Any]
) -> None:
    unsure = [each | {"rows": 0} for each in whole["selective"]["thresholds"]]
    assert "covers" not in shown(whole | {"selective": {"thresholds": unsure, "targets": []}})


@pytest.mark.parametrize(
    ("is_open", "words"),
    [
        (True, "The report opens in a browser; until "),
        (False, "No browser could be started; until "),
    ],
)
def test_a_link_is_opened_and_printed(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_open: bool,
    words: str,
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: asked.append(url) or is_open)
    open_link(ReportLink(url="https://host/v1/x?signature=1", expires_at=1_800_000_000.0))
    printed = capsys.readouterr()
    assert asked == ["https://host/v1/x?signature=1"]
    assert printed.err.startswith(f"{words}2027-01-15T08:00:00Z this link opens it without")
    assert printed.err.endswith("\nhttps://host/v1/x?signature=1\n")
    assert printed.out == ""


def test_a_browser_that_fails_leaves_the_link(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(url: str) -> bool:
        raise webbrowser.Error("none")

    monkeypatch.setattr("webbrowser.open", fail)
    open_link(ReportLink(url="https://host/x", expires_at=0.0))
    assert "No browser could be started" in capsys.readouterr().err
