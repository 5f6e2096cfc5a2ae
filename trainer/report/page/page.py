"""The whole page of one version's report, and the policy that it is served with. The markup is in
`report.html.j2`; knows how a figure and the name of a metric are written.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from trainer.report.baselines import name_rival
from trainer.report.comparison import SIGNIFICANT
from trainer.report.page import plots
from trainer.report.page.plots import capitalize
from trainer.report.page.provenance import Provenance, write_setting
from trainer.report.page.style import STYLE
from trainer.report.verdict import DECISIONS

_METRIC_NAMES = {
    "mcc": "MCC",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "f1": "F1",
    "auc": "AUC",
    "bleu": "BLEU",
    "chrf": "chrF",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "mrr": "MRR",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "word_f1": "word F1",
}


def render_page(
    title: str,
    facts: Sequence[tuple[str, str]],
    report: Mapping[str, Any],
    provenance: Provenance | None = None,
) -> str:
    """`facts` are a name and a value each, shown beneath the title."""
    template = _environment().get_template("report.html.j2")
    return template.render(
        title=title,
        facts=facts,
        report=report,
        provenance=provenance or Provenance(),
        style=STYLE,
    )


def content_security_policy() -> str:
    """Nothing may be loaded or run; the page's own style is allowed by its hash."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        figure=format_figure,
        interval=_format_interval,
        setting=format_setting,
        metric_name=format_metric,
        sentence=_format_sentence,
        decision=DECISIONS.__getitem__,
        thousands=lambda count: f"{count:,}",
    )
    environment.tests["significant"] = lambda comparison: comparison["p"] < SIGNIFICANT
    environment.globals.update(plots=plots, list_rivals=_list_rivals, data_notes=_data_notes)
    return environment


def format_figure(value: Any) -> str:
    """Three decimals where these are significant."""
    if value is None or isinstance(value, str | bool):
        return "–" if value is None else str(value)
    return f"{value:.3f}" if abs(value) < 100 and isinstance(value, float) else f"{value:,.4g}"


def format_metric(name: str) -> str:
    return _METRIC_NAMES.get(name, name.replace("_", " "))


def _format_interval(interval: Mapping[str, Any] | None) -> str:
    if interval is None or interval["low"] is None:
        return ""
    return f"{format_figure(interval['low'])} … {format_figure(interval['high'])}"


def _format_sentence(text: str) -> str:
    """A line does not break between a figure and its percent sign."""
    return capitalize(text).replace(" %", "\u00a0%")


def format_setting(value: Any) -> str:
    """As it is written after `--set`, with the digits that people read."""
    if value is None:
        return "default"
    return f"{value:.3g}" if isinstance(value, float) else write_setting(value)


def _list_rivals(report: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """A report of an earlier release has the metrics of its baselines alone."""
    if "rivals" in report:
        rivals: Sequence[Mapping[str, Any]] = report["rivals"]
        return rivals
    baseline = report["baseline"]
    return [
        {
            "name": name_rival(name, baseline["name"], metrics),
            "metrics": metrics,
            "interval": None,
            "comparison": None,
        }
        for name, metrics in baseline.items()
        if isinstance(metrics, Mapping)
    ]


def _data_notes(report: Mapping[str, Any]) -> list[str]:
    """Warnings and findings, each once."""
    findings = [finding["message"] for finding in report["findings"]]
    return list(dict.fromkeys([*report["warnings"], *findings]))
