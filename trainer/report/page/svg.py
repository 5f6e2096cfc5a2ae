"""Elements of an SVG picture, whose text and attributes are escaped. Knows no plot."""

from __future__ import annotations

from markupsafe import Markup, escape

#: what an element may hold; text of any origin is escaped
Child = Markup | str | float | int | None


def element(_name: str, *children: Child, **attributes: str | float | int | None) -> Markup:
    """`class_` is the attribute class, `stroke_width` is stroke-width; None is left out."""
    pairs = Markup("").join(
        Markup(' {}="{}"').format(name.rstrip("_").replace("_", "-"), _format(value))
        for name, value in attributes.items()
        if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(_name, pairs, join(*children))


def join(*children: Child) -> Markup:
    return Markup("").join(escape(_format(child)) for child in children if child is not None)


def _format(value: Child) -> Child:
    """To six digits, which is finer than a pixel."""
    return f"{value:.6g}" if isinstance(value, float) else value
