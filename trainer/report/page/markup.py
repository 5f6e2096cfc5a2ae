"""Markup that cannot be broken out of: what is not markup already is escaped where it is put in.
Knows no tag.
"""

from __future__ import annotations

from html import escape


class Markup(str):
    """Text that is markup. Nothing but `element` and `joined` should make one of a variable."""

    __slots__ = ()


#: what an element may hold; text of any origin is escaped
Child = Markup | str | float | int | None


def element(_name: str, *children: Child, **attributes: str | float | int | None) -> Markup:
    """`class_` is the attribute class, `stroke_width` is stroke-width; None is left out."""
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_plain(value), quote=True)}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{_name}{given}>{joined(*children)}</{_name}>")


def joined(*children: Child) -> Markup:
    return Markup("".join(_markup(child) for child in children if child is not None))


def _markup(child: Child) -> str:
    return child if isinstance(child, Markup) else escape(_plain(child), quote=True)


def _plain(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
