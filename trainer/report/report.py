"""The report as it is stored: its sections, each typed and explained where it is computed, and the
part of it that everybody sees first. Computes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from trainer.metrics.metrics import Metrics
from trainer.report.calibration import Calibration
from trainer.report.classes import ClassScores, Confusion
from trainer.report.comparison import Comparison
from trainer.report.costs import Costs
from trainer.report.label_issues import Suspect
from trainer.report.learning_curve import LearningCurve
from trainer.report.report_input import Parameters, Run
from trainer.report.resampling import Interval
from trainer.report.rivals import Rival
from trainer.report.search_trials import SearchTrials
from trainer.report.selective import Selective
from trainer.report.slices import Slice
from trainer.report.verdict import Verdict

_SUMMARY = (
    "verdict", "headline", "intervals", "majority", "comparisons", "production", "seeds",
    "parameters", "advice",
)  # fmt: skip


class Headline(Interval):
    """The head's main metric on the test rows, with its bootstrap interval."""

    metric: str
    more_is_better: bool
    #: whether it lies between -1 and 1, so that the width of its interval can be judged
    relative: bool


class Seeds(TypedDict):
    """The main metric on the test rows, of every seed that was trained."""

    metric: str | None
    values: list[float]
    mean: float
    #: the sample standard deviation
    std: float
    #: whether the version has the mean of their weights; else it is the best of them on dev
    averaged: bool


class Sections(TypedDict):
    """What is computed from the evidence. Figures have six digits; a figure that is not finite is
    null.
    """

    #: null where no metric of the head has a value on these rows
    headline: Headline | None
    #: the numbers of rows by split: train, dev, test
    rows: dict[str, int]
    #: all metrics of the test rows (`test_metrics.py`)
    metrics: Metrics
    #: by metric, for the metrics that can be resampled (`scores.py`)
    intervals: dict[str, Interval]
    #: the share of resamples that lie within an interval
    confidence: float
    #: {"name": the name of the model of the head, and by rival ("test" is that model) its metrics}
    baseline: dict[str, Any]
    #: every other model on the same rows: baselines, production, full fine-tuning
    rivals: list[Rival]
    #: the constant answer and what it alone gives, as a sentence
    majority: str | None
    #: with the strongest baseline, then with production
    comparisons: list[Comparison]
    #: {"version", "digest"} of what is production, and {"skipped" | "note": a sentence} where it
    #: could not be compared, or may have been trained on test rows
    production: dict[str, Any] | None
    #: null unless several seeds were trained
    seeds: Seeds | None
    #: null for heads that answer no probabilities
    calibration: Calibration | None
    #: null for heads that do not choose one label
    selective: Selective | None
    #: null where the setting `class_weights` names no labels
    costs: Costs | None
    #: lowest F1 first
    classes: list[ClassScores]
    #: null where an answer is not a single label
    confusion: Confusion | None
    #: those that are worse than all rows, largest harm first
    slices: list[Slice]
    #: test rows, then training rows, highest loss first
    suspects: list[Suspect]
    #: the run of each seed, epoch by epoch
    curves: Sequence[Run]
    parameters: Parameters
    #: how many training rows have each label, rarest first
    labels: dict[str, int]
    #: null unless the setting `search` asks for it
    search: SearchTrials | None
    #: null unless the setting `learning_curve` asks for it
    learning_curve: LearningCurve | None
    #: {"epochs", "seconds", "metrics"} and the keys of a comparison, or {"error"}; null unless the
    #: setting `full_finetuning` asks for it
    full_finetuning: dict[str, Any] | None
    #: the seeds whose runs diverged and were left out
    diverged_seeds: Sequence[int]
    #: the preset that the version was trained with
    preset: str
    #: sentences of the training
    warnings: Sequence[str]
    #: findings of the data checks, as JSON
    findings: Sequence[Mapping[str, Any]]


class Report(Sections):
    """Stored as JSON beside the version."""

    #: whether to ship it, and why
    verdict: Verdict
    #: sentences, the most important first
    advice: list[str]


def summarize_report(report: Mapping[str, Any]) -> dict[str, Any]:
    """A few kilobytes of it for the job's result, the lineage in a list and the terminal. A report
    that failed has its error alone.
    """
    if "error" in report:
        return {"error": report["error"]}
    summary = {name: report[name] for name in _SUMMARY}
    if search := report["search"]:
        summary["search"] = {name: search[name] for name in ("chosen", "words")}
    if selective := report["selective"]:
        summary["selective"] = {
            "thresholds": [
                {"rows": each["rows"], "words": each["words"]} for each in selective["thresholds"]
            ],
            "targets": [{"words": each["words"]} for each in selective["targets"]],
        }
    if costs := report["costs"]:
        summary["costs"] = {"words": costs["words"]}
    if calibration := report["calibration"]:
        by_figure = {
            name: {when: calibration[when][name] for when in ("before", "after")}
            for name in ("ece", "loss")
        }
        about = {name: calibration[name] for name in ("temperature", "words", "is_worse")}
        summary["calibration"] = {**about, **by_figure}
    if reference := report["full_finetuning"]:
        summary["full_finetuning"] = {
            name: value for name, value in reference.items() if name != "metrics"
        }
    return summary
