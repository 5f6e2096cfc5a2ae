"""A version's report in the terminal: what was reached, beside what, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_MOST_ADVICE = 6
_SIGNIFICANT = 0.05


def print_report(title: str, report: Mapping[str, Any]) -> None:
    """The summary of a report, or the whole: what both have is shown."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    if "error" in report:
        console.print(Text(f"{title}: there is no report. {report['error']}", style="red"))
        return
    console.print(Text.assemble((title, "bold"), "  on the test rows"))
    for mark, style, sentence in _sentences(report):
        console.print(Text.assemble((f" {mark} ", style), sentence))
    for sentence in report["advice"][:_MOST_ADVICE]:
        console.print(Text.assemble((" → ", "cyan"), sentence))


def _sentences(report: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Each with a mark and its colour."""
    if found := report["headline"]:
        metric = found["metric"].replace("_", " ")
        span = f"{found['low']:.3f} to {found['high']:.3f}"
        yield "•", "bold", f"{metric} {found['value']:.3f}, 95 % interval {span}"
    if seeds := report["seeds"]:
        spread = f"{seeds['mean']:.3f} ± {seeds['std']:.3f}"
        yield "•", "bold", f"{spread} over {len(seeds['values'])} seeds"
    for each in report["comparisons"]:
        if each["p"] >= _SIGNIFICANT:
            yield "≈", "yellow", each["words"]
        else:
            yield ("✓", "green", each["words"]) if each["gain"] > 0 else ("✗", "red", each["words"])
    if skipped := (report["production"] or {}).get("skipped"):
        yield "•", "bold", f"not compared with production: {skipped}"
