"""Prints the findings of a check, of a dry run too. Owns their table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from adapterd.terminal import render
from adapterd.values import Finding

_STYLES = {"error": "red", "warning": "yellow", "info": "cyan"}
_MOST_SAMPLES = 3


def print_findings(title: str, findings: Sequence[Finding]) -> None:
    rows = [
        (Text(finding.severity, style=_STYLES[finding.severity]), finding.code, _cell(finding))
        for finding in findings
    ]
    render.print_table(title, ("severity", "code", "finding"), rows, wrapped=("code", "finding"))


def _cell(finding: Finding) -> Text:
    # a sample that only repeats the sentence shows no row
    rows = [row for row in finding.samples[:_MOST_SAMPLES] if row.text != finding.message]
    samples = [f"\n  line {row.line}: {row.text}" for row in rows]
    return Text.assemble(finding.message, ("".join(samples), "dim"))
