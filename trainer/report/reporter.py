"""The report of a run: evidence to the child, its answer back, kept to a bounded size. Knows no
figure that it carries.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from trainer.report.report_input import ReportInput
from trainer.sandbox.command import ask_child

MODULE = "trainer.report"
#: as JSON; what is kept of a version is read often
MAX_BYTES = 64_000
#: in the order in which they go where a report is larger
_LONGEST = ("confusion", "suspects", "slices", "classes", "labels", "findings", "curves")
_DIGITS = 6


def report_of(
    evidence: ReportInput, *, timeout_s: float, waiting: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """{"metrics", "baseline", "report"}; where the child failed or took too long, {"error"}.

    `waiting` is called a few times a second and may raise to give up.
    """
    try:
        answer = ask_child(MODULE, evidence.to_json(), timeout_s=timeout_s, waiting=waiting)
    except OSError as error:  # of the child, of the time it took, or of a full disk
        return {"error": str(error)}
    return {**answer, "report": bounded(rounded(answer["report"]))}


def rounded(value: Any) -> Any:
    """Figures to six digits: what more there is says nothing."""
    if isinstance(value, float):
        if not value or not math.isfinite(value):
            return value
        return round(value, _DIGITS - 1 - math.floor(math.log10(abs(value))))
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list) else value


def bounded(report: dict[str, Any]) -> dict[str, Any]:
    """Without its longest parts where it would be too large; it says which they were."""
    left_out: list[str] = []
    for name in _LONGEST:
        if len(json.dumps(report)) <= MAX_BYTES:
            break
        if report.get(name):
            report = {**report, name: type(report[name])()}
            left_out.append(name)
    return {**report, "left_out": left_out}
