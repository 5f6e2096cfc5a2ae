"""The report out of the evidence: each part in its own module, put together here. Runs in the
child.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from trainer.heads import HEAD_DATA
from trainer.report.advice import advise
from trainer.report.baselines import baseline_answers
from trainer.report.calibration import calibration
from trainer.report.classes import class_scores
from trainer.report.comparison import comparison
from trainer.report.confusion import confusion
from trainer.report.label_issues import find_label_issues
from trainer.report.learning_curve import learning_curve
from trainer.report.resampling import CONFIDENCE, intervals
from trainer.report.scores import scores_of
from trainer.report.slices import slices
from trainer.report.test_metrics import compute_metrics

Evidence = Mapping[str, Any]
#: of a report for people: more labels than these are not named one by one
_MOST_LABELS = 50
#: metrics between 0 and 1 (or -1 and 1), whose width says something by itself
_SHARES = (
    "accuracy", "macro_f1", "micro_f1", "f1", "exact", "exact_match", "auc", "pearson", "spearman",
    "explained", "mrr",
)  # fmt: skip


def compose(evidence: Evidence) -> dict[str, Any]:
    """{"metrics", "baseline", "report"}."""
    head, test = evidence["head"]["kind"], evidence["test"]
    truth, guesses = [row["label"] for row in test], evidence["test_guesses"]
    metrics = compute_metrics(head, truth, guesses)
    rivals = baseline_answers(head, evidence["train"], evidence["dev"], test)
    baseline = {name: compute_metrics(head, truth, answers) for name, answers in rivals.items()}
    found = intervals(scores_of(head, truth, guesses), len(truth))
    main = next((name for name in evidence["metrics"] if name in found), None)
    report: dict[str, Any] = {
        "headline": _headline(main, found, evidence),
        "rows": {name: len(evidence[name]) for name in ("train", "dev", "test")},
        "metrics": metrics,
        "intervals": found,
        "confidence": CONFIDENCE,
        "baseline": {"name": evidence["baseline"], **baseline},
        "comparisons": _comparisons(evidence, rivals, baseline, truth, main),
        "production": _production(evidence["production"]),
        "seeds": _seeds(evidence, main),
        "calibration": calibration(evidence["head"], evidence["test_logits"], truth),
        "classes": class_scores(head, truth, guesses),
        "confusion": confusion(truth, guesses),
        "slices": slices(head, evidence["train"], test, guesses, main) if main else [],
        "suspects": _suspects(evidence),
        "curves": evidence["runs"],
        "parameters": evidence["parameters"],
        "labels": _labels(evidence["train"]),
        "learning_curve": learning_curve(evidence["learning_curve"], found.get(main or "")),
        "full_finetuning": _reference(evidence, truth, main),
        "warnings": evidence["warnings"],
        "findings": evidence["findings"],
    }
    report["advice"] = advise(report)
    answer = {"metrics": metrics, "baseline": baseline, "report": report}
    return {name: _finite(part) for name, part in answer.items()}


def _headline(
    main: str | None, found: Mapping[str, Any], evidence: Evidence
) -> dict[str, Any] | None:
    if main is None:
        return None
    better = evidence["more_is_better"]
    return {"metric": main, **found[main], "more_is_better": better, "relative": main in _SHARES}


def _comparisons(
    evidence: Evidence,
    rivals: Mapping[str, Sequence[Any]],
    baseline: Mapping[str, Mapping[str, Any]],
    truth: Sequence[Any],
    main: str | None,
) -> list[dict[str, Any]]:
    """With the strongest rival, and with the version that production is."""
    others: dict[str, Sequence[Any]] = {}
    known = {name: each.get(main or "") for name, each in baseline.items()}
    if values := {name: value for name, value in known.items() if value is not None}:
        pick = max if evidence["more_is_better"] else min
        best = pick(values, key=lambda name: values[name])
        others["the baseline " + _named(best, evidence["baseline"])] = rivals[best]
    production = evidence["production"] or {}
    if "guesses" in production:
        others[f"version {production['version']}, now production"] = production["guesses"]
    head, guesses = evidence["head"]["kind"], evidence["test_guesses"]
    made = [comparison(head, truth, guesses, other, name) for name, other in others.items()]
    return [each for each in made if each]


def _named(rival: str, baseline: str) -> str:
    return {
        "test": baseline, "majority": "that always answers alike", "copy": "that copies the input",
    }.get(rival, rival)  # fmt: skip


def _production(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return (
        None
        if given is None
        else {name: value for name, value in given.items() if name != "guesses"}
    )


def _seeds(evidence: Evidence, main: str | None) -> dict[str, Any] | None:
    """Mean and standard deviation of the test metric over seeds, where there are several."""
    values = [run["test"].get(main) for run in evidence["runs"] if run["test"]]
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return None
    return {"metric": main, "values": known, "mean": fmean(known), "std": stdev(known)}


def _suspects(evidence: Evidence) -> list[dict[str, Any]]:
    sample = [evidence["train"][index] for index in evidence["sample"]]
    return [
        *find_label_issues("test", evidence["test"], evidence["test_guesses"], _losses(evidence)),
        *find_label_issues("train", sample, evidence["sample_guesses"], evidence["sample_losses"]),
    ]


def _losses(evidence: Evidence) -> list[float | None]:
    """Of a text there is no loss but how much of it is wrong."""
    head, rows = evidence["head"]["kind"], evidence["test"]
    partly = {"span": "f1", "generate": "word_f1"}.get(head)
    if partly is None:
        return list(evidence["test_losses"])
    data = HEAD_DATA[head]
    pairs = zip(rows, evidence["test_guesses"], strict=True)
    return [1 - data.measure([row["label"]], [guess])[partly] for row, guess in pairs]


def _labels(train: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many training rows have each label; the rarest of very many."""
    named = [row["label"] for row in train if row["named"]]
    counts = Counter(name for each in named for name in ([each] if isinstance(each, str) else each))
    return dict(sorted(counts.items(), key=lambda each: each[1])[:_MOST_LABELS])


def _reference(evidence: Evidence, truth: Sequence[Any], main: str | None) -> dict[str, Any] | None:
    given = evidence["full_finetuning"]
    if not given or "guesses" not in given:
        return given and dict(given)
    head = evidence["head"]["kind"]
    found = comparison(
        head, truth, evidence["test_guesses"], given["guesses"], "full fine-tuning of the base"
    )
    kept = {name: value for name, value in given.items() if name != "guesses"}
    metrics = compute_metrics(head, truth, given["guesses"])
    return {**kept, "metrics": metrics, "metric": main, **(found or {})}


def _finite(value: Any) -> Any:
    """JSON knows no number that is none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value
