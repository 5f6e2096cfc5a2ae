"""Compares the version with another model on the same test rows, in figures and in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.report.resampling import compared
from trainer.report.scores import scores_of

#: p values below it count as a significant difference
SIGNIFICANT = 0.05


def comparison(
    head: str, truth: Sequence[Any], guesses: Sequence[Any], other: Sequence[Any], named: str
) -> dict[str, Any] | None:
    """By the head's main metric; None where one of the two has no value of it."""
    theirs = {score.name: score for score in scores_of(head, truth, other)}
    ours = scores_of(head, truth, guesses)[0]
    if ours.name not in theirs:
        return None
    found = compared(ours, theirs[ours.name], len(truth))
    return found and {"against": named, **found, "words": _words(named, found)}


def _words(named: str, found: Mapping[str, Any]) -> str:
    metric = found["metric"].replace("_", " ")
    figures = (
        f"{metric} {found['ours']:.3f} against {found['theirs']:.3f}; 95 % interval of the gain "
        f"{found['low']:+.3f} to {found['high']:+.3f}, p = {found['p']:.2g} ({found['test']})"
    )
    if found["p"] >= SIGNIFICANT:
        return f"No significant difference from {named} on these rows: {figures}."
    return f"{'Better' if found['gain'] > 0 else 'Worse'} than {named}: {figures}."
