"""The coordinates of a plot: values to pixels, and its axes. Knows no data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from trainer.report.page.svg import Child, element, join

_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 12.0, 10.0, 34.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A plot's window on its values."""

    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x[0]) / ((self.x[1] - self.x[0]) or 1)
        up = (y - self.y[0]) / ((self.y[1] - self.y[0]) or 1)
        return (
            round(_LEFT + across * (self.width - _LEFT - _RIGHT), 2),
            round(self.height - _BOTTOM - up * (self.height - _TOP - _BOTTOM), 2),
        )

    def draw(self, title: str, x_label: str, x_ticks: Sequence[float], *shapes: Child) -> Markup:
        """The whole picture; screen readers read `title`."""
        return element(
            "svg",
            element("title", title),
            self._draw_axes(x_label, x_ticks),
            *shapes,
            viewBox=f"0 0 {self.width:g} {self.height:g}",
            role="img",
            class_="plot",
        )

    def line(self, points: Sequence[tuple[float, float]], kind: str) -> Markup:
        path = " ".join(f"{x},{y}" for x, y in (self.at(*point) for point in points))
        return element("polyline", points=path, class_=f"line {kind}")

    def area(self, points: Sequence[tuple[float, float]], kind: str) -> Markup:
        path = " ".join(f"{x},{y}" for x, y in (self.at(*point) for point in points))
        return element("polygon", points=path, class_=f"area {kind}")

    def label(self, x: float, y: float, text: str) -> Markup:
        """Beneath a dot."""
        across, down = self.at(x, y)
        return element("text", text, x=across, y=down + 15, class_="x-tick")

    def dot(self, x: float, y: float, kind: str, radius: float = 3.5) -> Markup:
        across, down = self.at(x, y)
        return element("circle", cx=across, cy=down, r=radius, class_=f"dot {kind}")

    def _draw_axes(self, x_label: str, x_ticks: Sequence[float]) -> Markup:
        (left, bottom), (right, _) = self.at(self.x[0], self.y[0]), self.at(self.x[1], self.y[0])
        shapes: list[Child] = []
        for value in choose_ticks(*self.y):
            _, down = self.at(self.x[0], value)
            name = format_tick(value)
            shapes.append(element("line", x1=left, x2=right, y1=down, y2=down, class_="grid"))
            shapes.append(element("text", name, x=left - 7, y=down + 3.5, class_="y-tick"))
        for value in x_ticks:
            across, _ = self.at(value, self.y[0])
            name = format_tick(value)
            shapes.append(element("text", name, x=across, y=bottom + 15, class_="x-tick"))
        middle = (left + right) / 2
        shapes.append(element("text", x_label, x=middle, y=self.height - 3, class_="x-tick label"))
        return join(*shapes)


def choose_ticks(low: float, high: float, num_steps: int = 4) -> list[float]:
    """Round values between the two ends, at most one more than `num_steps`."""
    if not high > low:
        return [low]
    raw = (high - low) / num_steps
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(step * k, 10) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def format_tick(value: float) -> str:
    return f"{value:.4g}"


def pad_range(values: Sequence[float], share: float = 0.08) -> tuple[float, float]:
    """Their range with a little room on both sides."""
    low, high = min(values), max(values)
    room = (high - low) * share or max(abs(high) * share, 0.05)
    return low - room, high + room
