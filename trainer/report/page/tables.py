"""The tables of a report: metrics, labels, slices, suspects. Each is a pure function of its part of
the JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.report.page.markup import Child, Markup, element, joined
from trainer.report.page.plots import share

Part = Mapping[str, Any]
#: a figure is a number, told apart by its class
Cell = tuple[Child, str]


def table(columns: Sequence[Cell], rows: Sequence[Sequence[Cell]]) -> Markup:
    head = element("tr", *(element("th", name, class_=kind or None) for name, kind in columns))
    body = [
        element("tr", *(element("td", value, class_=kind or None) for value, kind in row))
        for row in rows
    ]
    inside = joined(element("thead", head), element("tbody", *body))
    return element("div", element("table", inside), class_="scroll")


def metrics(report: Part) -> Markup:
    """One line a metric: ours with its interval, beside every rival's."""
    rivals = {
        _rival(name, report["baseline"]["name"]): each
        for name, each in report["baseline"].items()
        if isinstance(each, Mapping)
    }
    reference = report["full_finetuning"] or {}
    if "metrics" in reference:
        rivals["full fine-tuning"] = reference["metrics"]
    rows = [
        [
            (readable(name), ""), (figure(value), "num ours"),
            (_interval(report["intervals"].get(name)), "num"),
            *((figure(each.get(name)), "num") for each in rivals.values()),
        ]
        for name, value in report["metrics"].items()
        if not isinstance(value, Mapping)
    ]  # fmt: skip
    columns = [
        ("metric", ""), ("this version", "num"), ("95 % interval", "num"),
        *((name, "num") for name in rivals),
    ]  # fmt: skip
    return table(columns, rows)


def labels(classes: Sequence[Part]) -> Markup:
    columns = [
        ("label", ""), ("test rows", "num"), ("precision", "num"), ("recall", "num"), ("F1", "num"),
        ("", ""),
    ]  # fmt: skip
    rows = [
        [
            (each["label"], "text"), (each["rows"], "num"), (figure(each["precision"]), "num"),
            (figure(each["recall"]), "num"), (figure(each["f1"]), "num ours"),
            (share(each["f1"], 0.0, 1.0), ""),
        ]
        for each in classes
    ]  # fmt: skip
    return table(columns, rows)


def slices(found: Sequence[Part], metric: str) -> Markup:
    columns = [
        ("by", ""), ("rows of the test set", ""), ("rows", "num"), (readable(metric), "num"),
        ("95 % interval", "num"), ("gap to overall", "num"),
    ]  # fmt: skip
    rows = [
        [
            (each["by"], ""), (each["slice"], "text"), (each["rows"], "num"),
            (figure(each["value"]), "num ours"), (_interval(each), "num"),
            (f"{each['gap']:+.3f}", "num worse" if each["gap"] > 0 else "num"),
        ]
        for each in found
    ]  # fmt: skip
    return table(columns, rows)


def suspects(found: Sequence[Part]) -> Markup:
    columns = [
        ("line", "num"), ("text", ""), ("label", ""), ("predicted", ""), ("loss", "num"),
    ]  # fmt: skip
    rows = [
        [
            (each["line"], "num"), (each["text"], "text"), (each["label"], ""),
            (each["answer"], ""), (figure(each["loss"]), "num"),
        ]
        for each in found
    ]  # fmt: skip
    return table(columns, rows)


def mistakes(found: Sequence[Part]) -> Markup:
    columns = [("label", ""), ("predicted", ""), ("rows", "num")]
    rows = [
        [(each["label"], "text"), (each["answer"], "text"), (each["rows"], "num")] for each in found
    ]
    return table(columns, rows)


def figure(value: Any) -> str:
    """To three digits after the point where that says something."""
    if value is None or isinstance(value, str | bool):
        return "–" if value is None else str(value)
    return f"{value:.3f}" if abs(value) < 100 and isinstance(value, float) else f"{value:,.4g}"


def readable(metric: str) -> str:
    return {
        "mcc": "MCC", "rmse": "RMSE", "mae": "MAE", "r2": "R²", "f1": "F1", "auc": "AUC",
        "bleu": "BLEU", "chrf": "chrF", "rouge1": "ROUGE-1", "rouge2": "ROUGE-2",
        "rougeL": "ROUGE-L", "mrr": "MRR", "macro_f1": "macro F1", "micro_f1": "micro F1",
        "word_f1": "word F1",
    }.get(metric, metric.replace("_", " "))  # fmt: skip


def _interval(found: Part | None) -> str:
    if found is None or found["low"] is None:
        return ""
    return f"{figure(found['low'])} … {figure(found['high'])}"


def _rival(name: str, baseline: str) -> str:
    return {"test": baseline, "majority": "majority class", "copy": "copy of the input"}.get(
        name, name
    )
