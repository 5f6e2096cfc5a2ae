"""Prints a version's report: its metrics, comparisons with baselines, and advice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_MAX_ADVICE = 6
_SIGNIFICANT = 0.05


def print_report(title: str, report: Mapping[str, Any]) -> None:
    """`report` may be a full report or its summary; only fields of both are printed."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    if "error" in report:
        console.print(Text(f"{title} has no report. {report['error']}", style="red"))
        return
    console.print(Text.assemble((title, "bold"), "  on the test rows"))
    for mark, style, sentence in _sentences(report):
        console.print(Text.assemble((f" {mark} ", style), sentence))
    for sentence in report["advice"][:_MAX_ADVICE]:
        console.print(Text.assemble((" → ", "cyan"), sentence))


def _sentences(report: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Sentences of the report as (mark, style, sentence)."""
    if headline := report["headline"]:
        metric = headline["metric"].replace("_", " ")
        interval = f"{headline['low']:.3f} to {headline['high']:.3f}"
        yield "•", "bold", f"{metric} {headline['value']:.3f}, 95 % interval {interval}"
    if seeds := report["seeds"]:
        spread = f"{seeds['mean']:.3f} ± {seeds['std']:.3f}"
        yield "•", "bold", f"{spread} over {len(seeds['values'])} seeds"
    for comparison in report["comparisons"]:
        if comparison["p"] >= _SIGNIFICANT:
            yield "≈", "yellow", comparison["words"]
        elif comparison["gain"] > 0:
            yield "✓", "green", comparison["words"]
        else:
            yield "✗", "red", comparison["words"]
    if skipped := (report["production"] or {}).get("skipped"):
        yield "•", "bold", f"not compared with the production version: {skipped}"
