"""What of a report everybody sees first: the job's result, the lineage in a list, the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_KEPT = ("headline", "intervals", "comparisons", "production", "seeds", "parameters", "advice")


def summary(report: Mapping[str, Any]) -> dict[str, Any]:
    """A few kilobytes of it; of a report that failed, why."""
    if "error" in report:
        return {"error": report["error"]}
    kept = {name: report[name] for name in _KEPT}
    if found := report["calibration"]:
        ece = {when: found[when]["ece"] for when in ("before", "after")}
        kept["calibration"] = {"temperature": found["temperature"], "ece": ece}
    if reference := report["full_finetuning"]:
        kept["full_finetuning"] = {
            name: value for name, value in reference.items() if name != "metrics"
        }
    return kept
