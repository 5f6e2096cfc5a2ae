"""What a report says about test rows, for a version's predictions on any labelled file: metrics,
intervals, confusion, slices, and the paired test of two versions. Knows no training, no server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, cast

import numpy as np

from trainer.heads import HEAD_DATA
from trainer.metrics.metrics import Metrics
from trainer.readers.example import Example
from trainer.report.calibration import measure_calibration
from trainer.report.classes import ClassScores, Confusion, count_confusions, score_classes
from trainer.report.comparison import SIGNIFICANT, Comparison, compare_models
from trainer.report.compose import replace_nan
from trainer.report.report_input import EvidenceRow
from trainer.report.resampling import CONFIDENCE, Interval, compute_intervals
from trainer.report.scores import build_scores
from trainer.report.slices import Slice, score_slices
from trainer.report.test_metrics import compute_metrics

#: the logarithm of no probability is not finite
_LEAST_PROBABILITY = 1e-300


class Headline(Interval):
    """The head's main metric, with its bootstrap interval."""

    metric: str


class ServedCalibration(TypedDict):
    """Of the probabilities as they are served."""

    #: expected calibration error
    ece: float
    #: mean log loss in nats
    loss: float


class FileEvaluation(TypedDict):
    """The sections of a report that need no training."""

    rows: int
    #: null where no metric of the head has a value on these rows
    headline: Headline | None
    metrics: Metrics
    intervals: dict[str, Interval]
    confidence: float
    #: null for heads that answer no probabilities
    calibration: ServedCalibration | None
    classes: list[ClassScores]
    confusion: Confusion | None
    slices: list[Slice]


class VersionComparison(TypedDict):
    """Two versions on the same rows; `ours` is the first of them."""

    comparison: Comparison | None
    decision: Literal["better", "worse", "cannot_tell"]
    #: the decision in words
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredFile:
    """Labelled rows and the predictions for them, as the head's metrics compare them."""

    head: str
    labels: Sequence[str]
    examples: Sequence[Example]
    guesses: Sequence[Any]
    #: the served probability of each label; empty for heads without probabilities
    probabilities: Sequence[Sequence[float]] = ()

    @property
    def truth(self) -> list[Any]:
        return [to_plain(example.label) for example in self.examples]


def evaluate_file(file: AnsweredFile) -> FileEvaluation:
    """The figures of a report whose test rows these are."""
    truth, guesses = file.truth, [to_plain(guess) for guess in file.guesses]
    intervals = compute_intervals(build_scores(file.head, truth, guesses), len(truth))
    main = next((name for name in HEAD_DATA[file.head].metrics if name in intervals), None)
    rows = [_to_row(example, file.head) for example in file.examples]
    evaluation: FileEvaluation = {
        "rows": len(truth),
        "headline": {"metric": main, **intervals[main]} if main else None,
        "metrics": compute_metrics(file.head, truth, guesses),
        "intervals": intervals,
        "confidence": CONFIDENCE,
        "calibration": _calibrate(file, truth),
        "classes": score_classes(file.head, truth, guesses),
        "confusion": count_confusions(truth, guesses),
        "slices": score_slices(file.head, [], rows, guesses, main, unit="words") if main else [],
    }
    return cast(FileEvaluation, replace_nan(evaluation))


def compare_files(
    ours: AnsweredFile, theirs: AnsweredFile, names: tuple[str, str]
) -> VersionComparison:
    """The test of the report and of the promotion gate, for two versions on the same rows."""
    our_name, their_name = names
    comparison = compare_models(
        ours.head,
        ours.truth,
        [to_plain(guess) for guess in ours.guesses],
        [to_plain(guess) for guess in theirs.guesses],
        their_name,
    )
    result: VersionComparison = {
        "comparison": comparison,
        "decision": _decide(comparison),
        "words": _describe(comparison, our_name, their_name, len(ours.examples)),
    }
    return cast(VersionComparison, replace_nan(result))


def to_plain(value: Any) -> Any:
    """Lists instead of tuples, as the child that computes a report gets them."""
    return [to_plain(part) for part in value] if isinstance(value, list | tuple) else value


def _decide(comparison: Comparison | None) -> Literal["better", "worse", "cannot_tell"]:
    if comparison is None or comparison["p"] >= SIGNIFICANT:
        return "cannot_tell"
    return "better" if comparison["gain"] > 0 else "worse"


def _describe(comparison: Comparison | None, ours: str, theirs: str, num_rows: int) -> str:
    if comparison is None:
        return f"Cannot tell {ours} from {theirs}: no metric has a value on these rows."
    metric = comparison["metric"].replace("_", " ")
    figures = (
        f"{metric} {comparison['ours']:.3f} against {comparison['theirs']:.3f}, "
        f"{CONFIDENCE:.0%} interval of the gain {comparison['low']:+.3f} to "
        f"{comparison['high']:+.3f}, p = {comparison['p']:.2g} ({comparison['test']})"
    )
    if comparison["p"] >= SIGNIFICANT:
        return (
            f"Cannot tell {ours} from {theirs} on {num_rows:,} rows: {figures}. More rows could "
            "detect a smaller difference."
        )
    word = "better" if comparison["gain"] > 0 else "worse"
    return f"{ours} is significantly {word} than {theirs}: {figures}."


def _calibrate(file: AnsweredFile, truth: Sequence[Any]) -> ServedCalibration | None:
    if not len(file.probabilities):
        return None
    shares = np.clip(np.asarray(file.probabilities, float), _LEAST_PROBABILITY, 1 - 1e-15)
    is_multi_label = isinstance(truth[0], list)
    is_independent = is_multi_label or file.head == "rerank"
    logits = np.log(shares) - (np.log1p(-shares) if is_independent else 0.0)
    head: Mapping[str, Any] = {
        "kind": file.head,
        "labels": list(file.labels),
        "multi_label": is_multi_label,
    }
    calibration = measure_calibration(head, logits.tolist(), truth, 0)
    served = calibration and calibration["after"]
    return {"ece": served["ece"], "loss": served["loss"]} if served else None


def _to_row(example: Example, head: str) -> EvidenceRow:
    """Without a tokenizer, its length is that in words."""
    text = example.text if example.pair is None else f"{example.text} {example.pair}"
    return {
        "line": example.line,
        "text": text,
        "both": (example.text, example.pair),
        "words": example.words,
        "label": to_plain(example.label),
        "prompt": example.text,
        "tokens": len(text.split()),
        "truncated": False,
        "named": head == "classify",
        "spans": head == "span",
    }
