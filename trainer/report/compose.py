"""Puts the report together from the evidence; each section is computed in a module of its own. Runs
in the child.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, TypedDict, cast

from trainer.heads import HEAD_DATA
from trainer.metrics.metrics import Metrics
from trainer.report.advice import advise
from trainer.report.baselines import baseline_answers
from trainer.report.calibration import measure_calibration
from trainer.report.classes import count_confusions, score_classes
from trainer.report.costs import Costs, score_costs
from trainer.report.label_issues import Suspect, find_label_issues
from trainer.report.learning_curve import judge_learning_curve
from trainer.report.report import Headline, Report, Sections, Seeds
from trainer.report.report_input import Evidence, EvidenceRow
from trainer.report.resampling import CONFIDENCE, Interval, compute_intervals
from trainer.report.rivals import (
    Answered,
    Rival,
    describe_majority,
    list_models,
    pick_comparisons,
    score_rivals,
)
from trainer.report.scores import build_scores
from trainer.report.search_trials import list_trials
from trainer.report.selective import score_selective
from trainer.report.slices import score_slices
from trainer.report.test_metrics import compute_metrics
from trainer.report.verdict import decide

#: people read the report: of more labels than these, the rarest are named
_MOST_LABELS = 50
#: metrics between -1 and 1, so that the width of their interval can be judged
_SHARES = (
    "accuracy",
    "macro_f1",
    "micro_f1",
    "f1",
    "exact",
    "exact_match",
    "auc",
    "pearson",
    "spearman",
    "explained",
    "mrr",
)


class Composed(TypedDict):
    """What the child answers: metrics with all digits, and the report."""

    metrics: Metrics
    #: the metrics of each rival
    baseline: dict[str, Metrics]
    report: Report


def compose(evidence: Evidence) -> Composed:
    head, test = evidence["head"]["kind"], evidence["test"]
    truth, guesses = [row["label"] for row in test], evidence["test_guesses"]
    metrics = compute_metrics(head, truth, guesses)
    answers = baseline_answers(head, evidence["train"], evidence["dev"], test)
    baseline = {name: compute_metrics(head, truth, part) for name, part in answers.items()}
    intervals = compute_intervals(build_scores(head, truth, guesses), len(truth))
    main = next((name for name in evidence["metrics"] if name in intervals), None)
    models = list_models(evidence, answers, baseline)
    rivals = score_rivals(evidence, models, main)
    sections: Sections = {
        "headline": _find_headline(main, intervals, evidence),
        "rows": {
            "train": len(evidence["train"]),
            "dev": len(evidence["dev"]),
            "test": len(test),
        },
        "metrics": metrics,
        "intervals": intervals,
        "confidence": CONFIDENCE,
        "baseline": {"name": evidence["baseline"], **baseline},
        "rivals": rivals,
        "majority": describe_majority(
            evidence["head"], answers["majority"], baseline["majority"], main
        ),
        "comparisons": pick_comparisons(rivals, main, more_is_better=evidence["more_is_better"]),
        "production": _without_guesses(evidence["production"]),
        "seeds": _summarize_seeds(evidence, main),
        "calibration": measure_calibration(
            evidence["head"], evidence["test_logits"], truth, len(evidence["dev"])
        ),
        "selective": score_selective(
            evidence["head"],
            (evidence["test_logits"], truth),
            (evidence["dev_logits"], [row["label"] for row in evidence["dev"]]),
        ),
        "costs": _score_costs(evidence, models),
        "classes": score_classes(head, truth, guesses),
        "confusion": count_confusions(truth, guesses),
        "slices": score_slices(head, evidence["train"], test, guesses, main) if main else [],
        "suspects": _find_suspects(evidence),
        "curves": evidence["runs"],
        "parameters": evidence["parameters"],
        "labels": _count_labels(evidence["train"]),
        "search": list_trials(evidence["search"], evidence["metrics"]),
        "learning_curve": judge_learning_curve(
            evidence["learning_curve"], intervals.get(main or "")
        ),
        "full_finetuning": _describe_reference(evidence, rivals, main),
        "diverged_seeds": evidence["diverged_seeds"],
        "preset": evidence["preset"],
        "warnings": evidence["warnings"],
        "findings": evidence["findings"],
    }
    report: Report = {**sections, "verdict": decide(sections), "advice": advise(sections)}
    composed: Composed = {"metrics": metrics, "baseline": baseline, "report": report}
    return cast(Composed, replace_nan(composed))


def _find_headline(
    main: str | None, intervals: Mapping[str, Interval], evidence: Evidence
) -> Headline | None:
    if main is None:
        return None
    better = evidence["more_is_better"]
    return {
        "metric": main,
        **intervals[main],
        "more_is_better": better,
        "relative": main in _SHARES,
    }


def _score_costs(evidence: Evidence, models: Sequence[Answered]) -> Costs | None:
    guesses = {"this version": evidence["test_guesses"]}
    guesses |= {model.name: list(model.guesses) for model in models}
    truth, dev_truth = ([row["label"] for row in evidence[part]] for part in ("test", "dev"))
    logits = evidence["test_logits"], evidence["dev_logits"]
    return score_costs(evidence["head"], evidence["error_costs"], truth, guesses, logits, dev_truth)


def _without_guesses(part: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if part is None:
        return None
    return {name: value for name, value in part.items() if name != "guesses"}


def _summarize_seeds(evidence: Evidence, main: str | None) -> Seeds | None:
    """Of the test metric, where there are several seeds."""
    values = [run["test"].get(main or "") for run in evidence["runs"] if run["test"]]
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return None
    return {
        "metric": main,
        "values": known,
        "mean": fmean(known),
        "std": stdev(known),
        "averaged": evidence["averaged"],
    }


def _find_suspects(evidence: Evidence) -> list[Suspect]:
    sample = [evidence["train"][index] for index in evidence["sample"]]
    losses = _list_test_losses(evidence)
    return [
        *find_label_issues("test", evidence["test"], evidence["test_guesses"], losses),
        *find_label_issues("train", sample, evidence["sample_guesses"], evidence["sample_losses"]),
    ]


def _list_test_losses(evidence: Evidence) -> list[float | None]:
    """A text has no loss; the part of it that is wrong stands in for one."""
    head, rows = evidence["head"]["kind"], evidence["test"]
    metric = {"span": "f1", "generate": "word_f1"}.get(head)
    if metric is None:
        return list(evidence["test_losses"])
    data = HEAD_DATA[head]
    pairs = zip(rows, evidence["test_guesses"], strict=True)
    return [1 - data.measure([row["label"]], [guess])[metric] for row, guess in pairs]


def _count_labels(train: Sequence[EvidenceRow]) -> dict[str, int]:
    """How many training rows have each label, rarest first."""
    labels = [row["label"] for row in train if row["named"]]
    counts = Counter(
        name for label in labels for name in ([label] if isinstance(label, str) else label)
    )
    return dict(sorted(counts.items(), key=lambda pair: pair[1])[:_MOST_LABELS])


def _describe_reference(
    evidence: Evidence, rivals: Sequence[Rival], main: str | None
) -> dict[str, Any] | None:
    """Of full fine-tuning of the base, where it was asked for and did not fail."""
    reference = _without_guesses(evidence["full_finetuning"])
    rival = next((each for each in rivals if each["kind"] == "full_finetuning"), None)
    if reference is None or rival is None:
        return reference
    return {
        **reference,
        "metrics": rival["metrics"],
        "metric": main,
        **(rival["comparison"] or {}),
    }


def replace_nan(value: Any) -> Any:
    """With null: JSON has no other number for it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: replace_nan(part) for name, part in value.items()}
    return [replace_nan(part) for part in value] if isinstance(value, list | tuple) else value
