"""The whole page of one version's report, and the policy it is served with."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.report.page import sections
from trainer.report.page.markup import Child, Markup, element, joined
from trainer.report.page.style import STYLE

_SECTIONS = (
    sections.verdict, sections.advice, sections.reached, sections.curves, sections.calibration,
    sections.confusion, sections.slices, sections.suspects, sections.more_data, sections.frozen,
    sections.data,
)  # fmt: skip


def document(title: str, facts: Sequence[tuple[str, str]], report: Mapping[str, Any]) -> str:
    """`facts` are a name and a value each, shown beneath the title."""
    if "error" in report:
        body: Child = element("section", element("h2", "There is no report"),
                              element("p", report["error"]))  # fmt: skip
    else:
        body = joined(*(section(report) for section in _SECTIONS))
    head = joined(
        Markup('<meta charset="utf-8">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", f"{title} · report"),
        element("style", Markup(STYLE)),
    )
    top = element("header", element("h1", title), sections.listed(facts))
    foot = element("footer", "Made by adapterd when the version was trained; docs/report.md says "
                             "how each figure is computed.")  # fmt: skip
    page = joined(element("head", head), element("body", element("main", top, body, foot)))
    return f"<!doctype html>\n{element('html', page, lang='en')}\n"


def policy() -> str:
    """Nothing may be loaded or run; the style is ours, by its hash."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
