"""Compares the version with another model on the same test rows, in figures and in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from trainer.report.resampling import PairedTest, compare_scores
from trainer.report.scores import build_scores

#: p values below it count as a significant difference
SIGNIFICANT = 0.05
#: a model trained without the base, the version that serves now, or the whole base trained
RivalKind = Literal["baseline", "production", "full_finetuning"]


class Comparison(PairedTest):
    """The paired test with one other model."""

    kind: RivalKind
    #: the name of the other model, as it is read in a sentence
    against: str
    #: the whole comparison as a sentence
    words: str


def compare_models(
    head: str,
    truth: Sequence[Any],
    guesses: Sequence[Any],
    other: Sequence[Any],
    name: str,
    kind: RivalKind = "baseline",
) -> Comparison | None:
    """By the head's main metric; None where one of the two has no value of it."""
    theirs = {score.name: score for score in build_scores(head, truth, other)}
    ours = build_scores(head, truth, guesses)[0]
    if ours.name not in theirs:
        return None
    test = compare_scores(ours, theirs[ours.name], len(truth))
    if test is None:
        return None
    return {"kind": kind, "against": name, **test, "words": _describe(name, test)}


def _describe(name: str, test: PairedTest) -> str:
    metric = test["metric"].replace("_", " ")
    figures = (
        f"{metric} {test['ours']:.3f} against {test['theirs']:.3f}; 95 % interval of the gain "
        f"{test['low']:+.3f} to {test['high']:+.3f}, p = {test['p']:.2g} ({test['test']})"
    )
    if test["p"] >= SIGNIFICANT:
        return f"No significant difference from {name} on these test rows: {figures}."
    return f"{'Better' if test['gain'] > 0 else 'Worse'} than {name}: {figures}."
