"""Has the child compute the report, and limits its digits and its size. Knows no figure in it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from trainer.report.report_input import ReportInput
from trainer.sandbox.command import ask_child

MODULE = "trainer.report"
#: as JSON; the lineage of a version is read often
MAX_BYTES = 64_000
#: left out in this order where a report is larger
_LARGEST = (
    "confusion", "suspects", "slices", "classes", "labels", "findings", "curves", "search",
)  # fmt: skip
_DIGITS = 6


def make_report(
    evidence: ReportInput, *, timeout_s: float, waiting: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """{"metrics", "baseline", "report"} (`Composed`); {"error"} where the child failed or took too
    long.

    `waiting` is called a few times a second and may raise to give up.
    """
    try:
        answer = ask_child(MODULE, evidence.to_json(), timeout_s=timeout_s, waiting=waiting)
    except OSError as error:  # of the child, of the time it took, or of a full disk
        return {"error": str(error)}
    return {**answer, "report": limit_size(round_figures(answer["report"]))}


def round_figures(value: Any) -> Any:
    """To six digits: more are not significant."""
    if isinstance(value, float):
        if not value or not math.isfinite(value):
            return value
        return round(value, _DIGITS - 1 - math.floor(math.log10(abs(value))))
    if isinstance(value, dict):
        return {name: round_figures(part) for name, part in value.items()}
    return [round_figures(part) for part in value] if isinstance(value, list) else value


def limit_size(report: dict[str, Any]) -> dict[str, Any]:
    """Empties its largest sections where it would be too large, and lists them as "left_out"."""
    left_out: list[str] = []
    for name in _LARGEST:
        if len(json.dumps(report)) <= MAX_BYTES:
            break
        if report.get(name):
            report = {**report, name: type(report[name])()}
            left_out.append(name)
    return {**report, "left_out": left_out}
