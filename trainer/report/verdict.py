"""The verdict of a report: whether the version should be shipped, by stated rules. Computes no
metric.

*Do not ship*: the version is no better than the constant answer, or significantly worse than the
strongest baseline or than production. *Cannot tell*: the strongest baseline is as good as far as
the test rows can show, it could not be compared, rows leak from training into the test rows, its
probabilities are not calibrated, or a seed diverged. *Ship*: none of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypedDict

from trainer.report.baselines import name_rival
from trainer.report.comparison import SIGNIFICANT, Comparison
from trainer.wording import count_of

Decision = Literal["ship", "do_not_ship", "cannot_tell"]

DECISIONS: dict[Decision, str] = {
    "ship": "Ship",
    "do_not_ship": "Do not ship",
    "cannot_tell": "Cannot tell",
}
#: a larger expected calibration error makes probabilities unreliable
_LARGE_ECE = 0.1
#: with fewer rows the error is large by chance
_ROWS_FOR_ECE = 100


#: how the version compares with the strongest baseline, by the paired test
Standing = Literal["better", "as_good", "worse"]


class Verdict(TypedDict):
    """A decision with its reasons, and the facts that a promotion and a catalogue read."""

    decision: Decision
    #: sentences; those that decided first
    reasons: list[str]
    #: whether the main metric is better than that of the constant answer; null if unknown
    beats_majority: bool | None
    #: the version beside the strongest baseline, such as a bag of words; null if not compared
    beside_baseline: Standing | None
    #: whether the paired test calls the version worse than production
    worse_than_production: bool


def decide(report: Mapping[str, Any]) -> Verdict:
    """`report` needs all sections but the verdict and the advice."""
    blockers, doubts = list(_find_blockers(report)), list(_find_doubts(report))
    decision: Decision = "do_not_ship" if blockers else "cannot_tell" if doubts else "ship"
    return {
        "decision": decision,
        "reasons": [*blockers, *doubts] or list(_find_strengths(report)),
        "beats_majority": _beats_majority(report),
        "beside_baseline": _beside_baseline(report),
        "worse_than_production": any(
            comparison["kind"] == "production" and _is_worse(comparison)
            for comparison in report["comparisons"]
        ),
    }


def describe_verdict(verdict: Verdict) -> str:
    """The decision and its reasons in one line."""
    return f"{DECISIONS[verdict['decision']]}: {' '.join(verdict['reasons'])}"


def _find_blockers(report: Mapping[str, Any]) -> Iterator[str]:
    if _beats_majority(report) is False:
        headline, rivals = report["headline"], report["baseline"]
        metric = headline["metric"]
        name = name_rival("majority", None, rivals["majority"])
        yield (
            f"Its {metric.replace('_', ' ')} of {headline['value']:.3f} is no better than the "
            f"{rivals['majority'][metric]:.3f} of the {name}."
        )
    for comparison in report["comparisons"]:
        if _is_worse(comparison):
            yield f"It is significantly worse than {_describe(comparison)}."
            if comparison["kind"] == "baseline":
                yield _advise_against_baseline(report)


def _advise_against_baseline(report: Mapping[str, Any]) -> str:
    """What may bring the base's knowledge into the answers."""
    is_cut = any(finding["code"] == "truncated" for finding in report["findings"])
    tries = [
        "" if report["preset"] == "thorough" else "`--preset thorough`",
        "a larger `max_tokens`, because texts were cut" if is_cut else "",
        "more rows",
        "another base",
    ]
    *first, last = filter(None, tries)
    return f"Try {', '.join(first)} or {last}; if nothing helps, serve the baseline."


def _find_doubts(report: Mapping[str, Any]) -> Iterator[str]:
    num_rows = report["rows"]["test"]
    if report["headline"] is None:
        yield "No metric can be computed on the test rows."
    against = [
        comparison for comparison in report["comparisons"] if comparison["kind"] == "baseline"
    ]
    if not against:
        yield "There is no baseline to compare it with."
    for comparison in against:
        if comparison["p"] >= SIGNIFICANT:
            yield (
                f"As far as {count_of(num_rows, 'test row')} can show, {_describe(comparison)} is "
                "as good, and it needs no base; a larger test set could show a smaller difference."
            )
    if skipped := (report["production"] or {}).get("skipped"):
        yield f"It was not compared with production: {skipped}"
    yield from _find_leaks(report)
    calibration = report["calibration"]
    if calibration and num_rows >= _ROWS_FOR_ECE and calibration["after"]["ece"] > _LARGE_ECE:
        yield (
            "Its probabilities are not calibrated: the expected calibration error is "
            f"{calibration['after']['ece']:.3f}."
        )
    for seed in report["diverged_seeds"]:
        yield f"Training is unstable: seed {seed} diverged."


def _find_leaks(report: Mapping[str, Any]) -> Iterator[str]:
    for finding in report["findings"]:
        if finding["code"] == "near_leak" and finding["severity"] == "warning":
            yield f"Its held-out rows are not independent: {finding['message']}"


def _find_strengths(report: Mapping[str, Any]) -> Iterator[str]:
    for comparison in report["comparisons"]:
        if comparison["p"] < SIGNIFICANT:
            yield f"It is significantly better than {_describe(comparison)}."
        else:
            yield f"It is not significantly worse than {_describe(comparison)}."


def _beats_majority(report: Mapping[str, Any]) -> bool | None:
    headline, majority = report["headline"], report["baseline"].get("majority")
    value = (majority or {}).get(headline["metric"]) if headline else None
    if value is None:
        return None
    return bool(
        headline["value"] > value if headline["more_is_better"] else headline["value"] < value
    )


def _beside_baseline(report: Mapping[str, Any]) -> Standing | None:
    for comparison in report["comparisons"]:
        if comparison["kind"] == "baseline":
            if comparison["p"] >= SIGNIFICANT:
                return "as_good"
            return "better" if comparison["gain"] > 0 else "worse"
    return None


def _is_worse(comparison: Comparison) -> bool:
    return comparison["p"] < SIGNIFICANT and comparison["gain"] < 0


def _describe(comparison: Comparison) -> str:
    """The other model and the figures."""
    return (
        f"{comparison['against']} ({comparison['metric'].replace('_', ' ')} "
        f"{comparison['ours']:.3f} against {comparison['theirs']:.3f}, p = {comparison['p']:.2g})"
    )
