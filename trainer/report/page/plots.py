"""The plots of a report as SVG: results, training curves, reliability, confusion, learning curve.
Each is a pure function of its part of the JSON.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from trainer.report.page.frame import Frame, choose_ticks, format_tick, pad_range
from trainer.report.page.svg import Child, element, join

Part = Mapping[str, Any]
#: a run, the name of its curve, the class of the curve, and its points
Curve = tuple[Part, str, str, list[tuple[float, float]]]

_WIDTH, _HEIGHT = 440.0, 240.0
_ROW = 30.0
_NAMES = 190.0
_NARROW, _NARROW_NAMES = 320.0, 142.0
_CELL = 44.0
#: of two coverages
_NEAR = 0.08


def plot_results(headline: Part, rivals: Sequence[Part], *, is_narrow: bool = False) -> Markup:
    """The version, and beneath it the other models, each with its interval. The page has it twice:
    in a picture that is scaled down to a telephone, nobody could read the names.
    """
    metric = headline["metric"]
    rows: list[tuple[str, float, Part]] = [("this version", float(headline["value"]), headline)]
    for rival in rivals:
        if (value := rival["metrics"].get(metric)) is not None:
            rows.append((rival["name"], float(value), rival["interval"] or {}))
    ends = [part[end] for *_, part in rows for end in ("low", "high") if part.get(end) is not None]
    low, high = pad_range([*ends, *(value for _, value, _ in rows)])
    width, names = (_NARROW, _NARROW_NAMES) if is_narrow else (2 * _WIDTH, _NAMES)
    height = _ROW * len(rows) + 30
    scale = (width - names - (48 if is_narrow else 70)) / (high - low)

    def across(value: float) -> float:
        return round(names + (value - low) * scale, 2)

    shapes: list[Child] = []
    for value in choose_ticks(low, high, 4 if is_narrow else 6):
        x = across(value)
        shapes.append(element("line", x1=x, x2=x, y1=6, y2=height - 22, class_="grid"))
        shapes.append(element("text", format_tick(value), x=x, y=height - 6, class_="x-tick"))
    for index, (name, value, part) in enumerate(rows):
        y, kind = _ROW * (index + 0.5) + 4, "other" if index else "ours"
        short = _shorten(name, 22) if is_narrow else name
        shapes.append(element("text", short, x=names - 14, y=y + 4, class_=f"name {kind}"))
        if part.get("low") is not None:
            x1, x2 = across(part["low"]), across(part["high"])
            shapes.append(element("line", x1=x1, x2=x2, y1=y, y2=y, class_=f"whisker {kind}"))
        shapes.append(element("circle", cx=across(value), cy=y, r=6, class_=f"dot {kind}"))
        shapes.append(element("text", f"{value:.3f}", x=width - 4, y=y + 4, class_=f"value {kind}"))
    return element(
        "svg",
        element("title", f"{headline['metric']} of this version and others"),
        *shapes,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        class_=f"plot {'narrow' if is_narrow else 'wide'}",
    )


def plot_losses(runs: Sequence[Part]) -> Markup | None:
    """Training and dev loss by epoch; the published run lies above the others."""
    return _plot_curves(
        "Loss by epoch",
        [
            (run, name, kind, _list_points(run, name))
            for run in sorted(runs, key=lambda run: bool(run["kept"]))
            for name, kind in (("loss", "train"), ("dev_loss", "dev"))
        ],
    )


def plot_dev_metric(runs: Sequence[Part], metric: str) -> Markup | None:
    ordered = sorted(runs, key=lambda run: bool(run["kept"]))
    curves = [(run, "value", "dev", _list_points(run, "value")) for run in ordered]
    return _plot_curves(f"{metric} on dev rows by epoch", curves)


def plot_reliability(calibration: Part) -> Markup:
    """Accuracy by confidence, before and after the temperature; the diagonal is ideal."""
    frame = Frame(width=_WIDTH, height=_HEIGHT + 100, x=(0.0, 1.0), y=(0.0, 1.0))
    shapes: list[Child] = [frame.line([(0, 0), (1, 1)], "ideal")]
    for when, kind in (("before", "faint"), ("after", "dev")):
        bins = calibration[when]["bins"]
        shapes.append(frame.line([(each["confidence"], each["right"]) for each in bins], kind))
        most = max(each["rows"] for each in bins)
        for interval in bins:
            radius = 2.5 + 5 * (interval["rows"] / most) ** 0.5
            shapes.append(frame.dot(interval["confidence"], interval["right"], kind, radius))
    return frame.draw("Accuracy by confidence", "confidence", [0, 0.25, 0.5, 0.75, 1.0], *shapes)


def plot_coverage(selective: Part) -> Markup:
    """Accuracy by coverage with its interval, and the fixed thresholds as dots."""
    points = selective["curve"]
    lows, highs = ([point[index] for point in points] for index in (2, 3))
    low, high = pad_range([*lows, *highs], 0.04)
    frame = Frame(width=_WIDTH, height=_HEIGHT, x=(0.0, 1.0), y=(max(0.0, low), min(1.0, high)))
    edge = [(x, top) for (x, _, _, top) in points]
    edge += [(x, bottom) for (x, _, bottom, _) in reversed(points)]
    shapes: list[Child] = [
        frame.area(edge, "dev"),
        frame.line([(x, y) for x, y, *_ in points], "dev"),
    ]
    shown = math.inf
    for answered in selective["thresholds"]:
        x, y = answered["coverage"], answered["accuracy"]
        if y is None or x < points[0][0]:
            continue
        shapes.append(frame.dot(x, y, "dev"))
        if shown - x > _NEAR:  # else the two names would lie on each other
            shapes.append(frame.label(x, y, f"{answered['threshold']:g}"))
            shown = x
    ticks = [0, 0.25, 0.5, 0.75, 1.0]
    return frame.draw("Accuracy by coverage", "coverage (answered share)", ticks, *shapes)


def plot_confusion(confusion: Part) -> Markup:
    """Rows: true labels, columns: predicted; a darker cell is a larger share of its row."""
    labels, counts = confusion["labels"], confusion["counts"]
    top, size = 30.0, _CELL * len(labels)
    shapes: list[Child] = [
        element("text", "predicted", x=_NAMES + size / 2, y=14, class_="x-tick label")
    ]
    for down, (name, row) in enumerate(zip(labels, counts, strict=True)):
        y = top + down * _CELL
        short = _shorten(name, 24)
        shapes.append(element("text", short, x=_NAMES - 10, y=y + _CELL / 2 + 4, class_="name"))
        for across, count in enumerate(row):
            shapes.append(_draw_cell(_NAMES + across * _CELL, y, count, sum(row), down == across))
    for across, name in enumerate(labels):
        x, y = _NAMES + (across + 0.5) * _CELL, top + size + 12
        turn = f"rotate(-35 {x:g} {y:g})"
        short = _shorten(name, 14)
        shapes.append(element("text", short, x=x, y=y, transform=turn, class_="y-tick"))
    width, height = _NAMES + size + 10, top + size + 80
    return element(
        "svg",
        element("title", "True and predicted labels"),
        *shapes,
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        role="img",
        class_="plot matrix",
    )


def plot_learning_curve(points: Sequence[Part]) -> Markup:
    rows, values = ([float(point[name]) for point in points] for name in ("rows", "value"))
    frame = Frame(width=_WIDTH, height=_HEIGHT, x=pad_range(rows), y=pad_range(values))
    curve = list(zip(rows, values, strict=True))
    dots = [frame.dot(x, y, "dev") for x, y in curve]
    line = frame.line(curve, "dev")
    return frame.draw("Dev metric by rows", "training rows", rows, line, *dots)


def draw_bar(share: float) -> Markup:
    """A small bar, as long as this share of the column."""
    length = round(max(1.0, 100 * share), 2)
    inside = element("rect", x=0, y=0, width=length, height=10, class_="fill")
    outside = element("rect", x=0, y=0, width=100, height=10, class_="track")
    return element("svg", outside, inside, viewBox="0 0 100 10", class_="bar", aria_hidden="true")


def capitalize(text: str) -> str:
    """As the beginning of a sentence; the other letters stay as they are."""
    return text[:1].upper() + text[1:]


def _plot_curves(title: str, curves: Sequence[Curve]) -> Markup | None:
    curves = [curve for curve in curves if curve[3]]
    if not curves:
        return None
    xs = [x for *_, points in curves for x, _ in points]
    ys = [y for *_, points in curves for _, y in points]
    x = (min(xs), max(xs)) if max(xs) > min(xs) else (min(xs) - 0.5, max(xs) + 0.5)
    frame = Frame(width=_WIDTH, height=_HEIGHT, x=x, y=pad_range(ys))
    shapes: list[Child] = []
    for run, name, kind, points in curves:
        strength = "kept" if run["kept"] else "faint-line"
        shapes.append(frame.line(points, f"{kind} {strength}"))
        if run["kept"]:
            shapes += [frame.dot(px, py, kind, 2.5) for px, py in points]
            best = [epoch for epoch in run["epochs"] if epoch["best"] and epoch[name] is not None]
            shapes += [frame.dot(epoch["number"], epoch[name], f"{kind} best", 6) for epoch in best]
    whole = [value for value in choose_ticks(*x, 6) if value == int(value)]
    return frame.draw(title, "epoch", whole, *shapes)


def _list_points(run: Part, name: str) -> list[tuple[float, float]]:
    return [(epoch["number"], epoch[name]) for epoch in run["epochs"] if epoch[name] is not None]


def _draw_cell(x: float, y: float, count: int, total: int, is_right: bool) -> Markup:
    strength = count / total if total else 0.0
    square = element(
        "rect",
        x=x + 1,
        y=y + 1,
        width=_CELL - 2,
        height=_CELL - 2,
        rx=4,
        fill_opacity=round(0.06 + 0.84 * strength, 3) if count else 0.03,
        class_="right" if is_right else "wrong",
    )
    tone = "count strong" if strength > 0.55 else "count"
    middle = {"x": x + _CELL / 2, "y": y + _CELL / 2 + 4}
    return join(square, element("text", count, **middle, class_=tone))


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
