"""The other models on the same test rows: baselines, production and full fine-tuning of the base.
Their metrics, the paired test with each, and the constant answer in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

from trainer.metrics.metrics import Metrics
from trainer.report.baselines import name_rival
from trainer.report.comparison import Comparison, RivalKind, compare_models
from trainer.report.report_input import Evidence
from trainer.report.resampling import Interval, compute_intervals
from trainer.report.scores import build_scores
from trainer.report.test_metrics import compute_metrics

_MOST_LABELS = 5


class Rival(TypedDict):
    """One other model: a column of the table of metrics."""

    kind: RivalKind
    #: the heading of its column
    name: str
    #: those that are one number
    metrics: Metrics
    #: of the main metric
    interval: Interval | None
    #: the paired test of the main metric; null where one of the two models has no value of it
    comparison: Comparison | None


class Answered(NamedTuple):
    """The predictions of another model, and their metrics."""

    kind: RivalKind
    name: str
    #: its name in a sentence
    against: str
    guesses: Sequence[Any]
    metrics: Metrics


def list_models(
    evidence: Evidence, answers: Mapping[str, Sequence[Any]], baseline: Mapping[str, Metrics]
) -> list[Answered]:
    """`answers` and `baseline` are the predictions and the metrics of the baselines by name."""
    truth = [row["label"] for row in evidence["test"]]
    models = []
    for rival, metrics in baseline.items():
        name = name_rival(rival, evidence["baseline"], metrics)
        models.append(Answered("baseline", name, f"the baseline {name}", answers[rival], metrics))
    return [*models, *_list_others(evidence, truth)]


def score_rivals(evidence: Evidence, models: Sequence[Answered], main: str | None) -> list[Rival]:
    truth = [row["label"] for row in evidence["test"]]
    return [_score(evidence, truth, model, main) for model in models]


def pick_comparisons(
    rivals: Sequence[Rival], main: str | None, *, more_is_better: bool
) -> list[Comparison]:
    """With the strongest baseline, then with the version that is production."""
    name = main or ""
    known = [
        rival
        for rival in rivals
        if rival["kind"] == "baseline" and rival["metrics"].get(name) is not None
    ]
    pick = max if more_is_better else min
    picked = [pick(known, key=lambda rival: rival["metrics"][name])] if known else []
    picked += [rival for rival in rivals if rival["kind"] == "production"]
    return [rival["comparison"] for rival in picked if rival["comparison"]]


def describe_majority(
    head: Mapping[str, Any], answers: Sequence[Any], metrics: Metrics, main: str | None
) -> str | None:
    """What the constant answer is and what it alone gives; None where it has no main metric."""
    value = metrics.get(main or "")
    if not main or value is None:
        return None
    name = _name_constant(head, answers[0])
    return f"{name} gives {main.replace('_', ' ')} {value:.3f}."


def _name_constant(head: Mapping[str, Any], answer: Any) -> str:
    if head["kind"] == "regress":
        return f"The mean of the training labels, {answer:.4g}, alone"
    if head["kind"] == "classify" and isinstance(answer, str):
        return f"The most frequent label, {answer}, alone"
    if head["kind"] == "classify":
        labels = ", ".join(answer[:_MOST_LABELS]) or "no label"
        return f"What at least half of the training rows have ({labels}) alone"
    if head["kind"] == "tag":
        return "Predicting no entity at all"
    return "A constant answer alone"


def _list_others(evidence: Evidence, truth: Sequence[Any]) -> list[Answered]:
    """The version that is production, and the base that was trained whole."""
    others: list[Answered] = []
    head, production = evidence["head"]["kind"], evidence["production"] or {}
    if "guesses" in production:
        name, guesses = f"version {production['version']} (production)", production["guesses"]
        metrics = compute_metrics(head, truth, guesses)
        others.append(Answered("production", name, name, guesses, metrics))
    reference = evidence["full_finetuning"] or {}
    if "guesses" in reference:
        guesses = reference["guesses"]
        metrics = compute_metrics(head, truth, guesses)
        against = "full fine-tuning of the base"
        others.append(Answered("full_finetuning", "full fine-tuning", against, guesses, metrics))
    return others


def _score(evidence: Evidence, truth: Sequence[Any], other: Answered, main: str | None) -> Rival:
    head, guesses = evidence["head"]["kind"], evidence["test_guesses"]
    scores = [each for each in build_scores(head, truth, other.guesses) if each.name == main]
    return {
        "kind": other.kind,
        "name": other.name,
        "metrics": {
            name: value for name, value in other.metrics.items() if not isinstance(value, Mapping)
        },
        "interval": compute_intervals(scores, len(truth)).get(main or ""),
        "comparison": compare_models(
            head, truth, guesses, other.guesses, other.against, other.kind
        ),
    }
