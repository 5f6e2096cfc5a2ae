"""The verdict of a version's report as text: ship, do not ship, or cannot tell. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

_DECISIONS = {
    "ship": ("Ship", "bold green"),
    "do_not_ship": ("Do not ship", "bold red"),
    "cannot_tell": ("Cannot tell", "bold yellow"),
}


def name_verdict(report: Mapping[str, Any] | None) -> str:
    """The decision alone; empty if there is none."""
    verdict = (report or {}).get("verdict")
    return _DECISIONS[verdict["decision"]][0] if verdict else ""


def format_verdict(report: Mapping[str, Any] | None) -> Text | None:
    """The decision and its reasons; None if there is no report, or one of an earlier release."""
    verdict = (report or {}).get("verdict")
    if not verdict:
        return None
    word, style = _DECISIONS[verdict["decision"]]
    return Text.assemble((word, style), ": ", " ".join(verdict["reasons"]))
