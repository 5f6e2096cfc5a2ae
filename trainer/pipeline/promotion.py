"""Whether a new version becomes production: what its job requested, and the verdict of its report.

Moves no alias.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from trainer.jobs.events import EmitEvent
from trainer.pipeline.job_result import JobResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """How the version is published."""

    #: whether `production` moves to it
    promote: bool
    #: whether it does not become production even if the task has none
    hold: bool
    #: why it does not become production; None where that is nothing unusual
    warning: str | None = None


def decide_promotion(requested: bool, report: Mapping[str, Any] | None) -> Promotion:
    """`requested` is the job's `promote`. A `report` that failed has no verdict."""
    verdict = (report or {}).get("verdict") or {}
    if requested and verdict.get("worse_than_production"):
        return Promotion(
            promote=False,
            hold=True,
            warning=f"The version was not promoted. {_compare_with_production(report)} To "
            "promote it all the same, use `adapterd adapters promote --override --reason …`.",
        )
    has_none = report is not None and report.get("production") is None
    if not requested and has_none and verdict.get("beats_majority") is False:
        return Promotion(
            promote=False,
            hold=True,
            warning="The version does not become production, although the task has none: "
            f"{verdict['reasons'][0]} To promote it all the same, use `adapterd adapters "
            "promote`.",
        )
    return Promotion(promote=requested, hold=False)


def announce_promotion(
    requested: bool, result: JobResult, emit: EmitEvent
) -> tuple[Promotion, JobResult]:
    """The same for a job's result, with the warning among its warnings and as an event."""
    promotion = decide_promotion(requested, result.report)
    if promotion.warning is None:
        return promotion, result
    emit("version.held", promotion.warning, "warn")
    return promotion, replace(result, warnings=[*result.warnings, promotion.warning])


def _compare_with_production(report: Mapping[str, Any] | None) -> str:
    comparisons = (report or {}).get("comparisons", ())
    return " ".join(each["words"] for each in comparisons if each["kind"] == "production")
