"""The plots of a report: what was reached, training curves, reliability, confusion, learning curve.
Each is a pure function of its part of the JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.report.page.frame import Frame, padded, tick, ticks
from trainer.report.page.markup import Child, Markup, element, joined

Part = Mapping[str, Any]
_WIDTH, _HEIGHT = 440.0, 240.0
_ROW = 30.0
_NAMES = 190.0
_CELL = 44.0


def reached(headline: Part, others: Sequence[tuple[str, float]]) -> Markup:
    """The version with its interval, and every other as a dot beneath it."""
    rows = [("this version", float(headline["value"])), *others]
    low, high = padded([headline["low"], headline["high"], *(value for _, value in rows)])
    width, height = 2 * _WIDTH, _ROW * len(rows) + 30
    scale = (width - _NAMES - 70) / (high - low)

    def across(value: float) -> float:
        return round(_NAMES + (value - low) * scale, 2)

    parts: list[Child] = []
    for value in ticks(low, high, 6):
        x = across(value)
        parts.append(element("line", x1=x, x2=x, y1=6, y2=height - 22, class_="grid"))
        parts.append(element("text", tick(value), x=x, y=height - 6, class_="x-tick"))
    for index, (name, value) in enumerate(rows):
        y, kind = _ROW * (index + 0.5) + 4, "other" if index else "ours"
        parts.append(element("text", name, x=_NAMES - 14, y=y + 4, class_=f"name {kind}"))
        if not index:
            ends = {"x1": across(headline["low"]), "x2": across(headline["high"])}
            parts.append(element("line", **ends, y1=y, y2=y, class_="whisker"))
        parts.append(element("circle", cx=across(value), cy=y, r=6, class_=f"dot {kind}"))
        parts.append(element("text", f"{value:.3f}", x=width - 4, y=y + 4, class_=f"value {kind}"))
    return element(
        "svg", element("title", f"{headline['metric']} of this version and others"), *parts,
        viewBox=f"0 0 {width:g} {height:g}", role="img", class_="plot wide",
    )  # fmt: skip


def losses(runs: Sequence[Part]) -> Markup | None:
    """Training and dev loss by epoch; the run that was kept before the others."""
    lines = [
        (run, name, kind, _points(run, name))
        for run in sorted(runs, key=lambda run: bool(run["kept"]))
        for name, kind in (("loss", "train"), ("dev_loss", "dev"))
    ]
    return _curves("Loss by epoch", lines)


def dev_metric(runs: Sequence[Part], metric: str) -> Markup | None:
    ordered = sorted(runs, key=lambda run: bool(run["kept"]))
    lines = [(run, "value", "dev", _points(run, "value")) for run in ordered]
    return _curves(f"{metric} on dev rows by epoch", lines)


def reliability(found: Part) -> Markup:
    """How often answers were right by how sure they were; the diagonal is as it should be."""
    frame = Frame(width=_HEIGHT + 90, height=_HEIGHT + 60, x=(0.0, 1.0), y=(0.0, 1.0))
    shapes: list[Child] = [frame.line([(0, 0), (1, 1)], "ideal")]
    for when, kind in (("before", "faint"), ("after", "dev")):
        points = [(each["confidence"], each["right"]) for each in found[when]["bins"]]
        shapes.append(frame.line(points, kind))
        most = max(each["rows"] for each in found[when]["bins"])
        for each in found[when]["bins"]:
            size = 2.5 + 5 * (each["rows"] / most) ** 0.5
            shapes.append(frame.dot(each["confidence"], each["right"], kind, size))
    marks = [0, 0.25, 0.5, 0.75, 1.0]
    return frame.drawn("Accuracy by confidence", "confidence", marks, *shapes)


def confusion(found: Part) -> Markup:
    """Rows: true labels, columns: predicted; a darker cell is a larger share of its row."""
    labels, counts = found["labels"], found["counts"]
    top, size = 30.0, _CELL * len(labels)
    parts: list[Child] = [
        element("text", "predicted", x=_NAMES + size / 2, y=14, class_="x-tick label")
    ]
    for down, (name, row) in enumerate(zip(labels, counts, strict=True)):
        y = top + down * _CELL
        short = _short(name, 24)
        parts.append(element("text", short, x=_NAMES - 10, y=y + _CELL / 2 + 4, class_="name"))
        for across, count in enumerate(row):
            parts.append(_cell(_NAMES + across * _CELL, y, count, sum(row), down == across))
    for across, name in enumerate(labels):
        x, y = _NAMES + (across + 0.5) * _CELL, top + size + 12
        turned = f"rotate(-35 {x:g} {y:g})"
        parts.append(element("text", _short(name, 14), x=x, y=y, transform=turned, class_="y-tick"))
    width, height = _NAMES + size + 10, top + size + 80
    return element(
        "svg", element("title", "True and predicted labels"), *parts,
        viewBox=f"0 0 {width:g} {height:g}", width=width, role="img", class_="plot matrix",
    )  # fmt: skip


def learning_curve(points: Sequence[Part]) -> Markup:
    values = [(float(each["rows"]), float(each["value"])) for each in points]
    frame = Frame(
        width=_WIDTH, height=_HEIGHT, x=padded([x for x, _ in values]),
        y=padded([y for _, y in values]),
    )  # fmt: skip
    dots = [frame.dot(x, y, "dev") for x, y in values]
    rows = [x for x, _ in values]
    return frame.drawn(
        "Dev metric by rows", "training rows", rows, frame.line(values, "dev"), *dots
    )


def share(value: float, low: float, high: float) -> Markup:
    """A small bar from one end of a column to the other."""
    filled = 100 * (value - low) / ((high - low) or 1)
    inside = element("rect", x=0, y=0, width=round(max(1.0, filled), 2), height=10, class_="fill")
    outside = element("rect", x=0, y=0, width=100, height=10, class_="track")
    return element("svg", outside, inside, viewBox="0 0 100 10", class_="bar", aria_hidden="true")


def _curves(
    title: str, lines: Sequence[tuple[Part, str, str, list[tuple[float, float]]]]
) -> Markup | None:
    drawn = [each for each in lines if each[3]]
    if not drawn:
        return None
    xs = [x for *_, points in drawn for x, _ in points]
    ys = [y for *_, points in drawn for _, y in points]
    x = (min(xs), max(xs)) if max(xs) > min(xs) else (min(xs) - 0.5, max(xs) + 0.5)
    frame = Frame(width=_WIDTH, height=_HEIGHT, x=x, y=padded(ys))
    shapes: list[Child] = []
    for run, name, kind, points in drawn:
        strength = "kept" if run["kept"] else "faint-line"
        shapes.append(frame.line(points, f"{kind} {strength}"))
        if run["kept"]:
            shapes += [frame.dot(px, py, kind, 2.5) for px, py in points]
            best = [each for each in run["epochs"] if each["best"] and each[name] is not None]
            shapes += [frame.dot(each["number"], each[name], f"{kind} best", 6) for each in best]
    whole = [value for value in ticks(*x, 6) if value == int(value)]
    return frame.drawn(title, "epoch", whole, joined(*shapes))


def _points(run: Part, name: str) -> list[tuple[float, float]]:
    return [(each["number"], each[name]) for each in run["epochs"] if each[name] is not None]


def _cell(x: float, y: float, count: int, total: int, right: bool) -> Markup:
    strength = count / total if total else 0.0
    square = element(
        "rect", x=x + 1, y=y + 1, width=_CELL - 2, height=_CELL - 2, rx=4,
        fill_opacity=round(0.06 + 0.84 * strength, 3) if count else 0.03,
        class_="right" if right else "wrong",
    )  # fmt: skip
    tone = "count strong" if strength > 0.55 else "count"
    middle = {"x": x + _CELL / 2, "y": y + _CELL / 2 + 4}
    return joined(square, element("text", count, **middle, class_=tone))


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
