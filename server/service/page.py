"""One page of a list: at most `limit` items, and whether there are more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from server.errors import BadCall

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000

Item = TypeVar("Item")
Shown = TypeVar("Shown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Item]):
    """Items in the order of the list."""

    items: Sequence[Item]
    has_more: bool


def check_limit(limit: int, most: int = MAX_LIMIT) -> int:
    """The limit; 0 means the default. Raises BadCall."""
    if not 0 <= limit <= most:
        raise BadCall(f"limit is {limit}; it must be between 1 and {most}.")
    return limit or DEFAULT_LIMIT


def page_of(items: Sequence[Item], limit: int, show: Callable[[Item], Shown]) -> Page[Shown]:
    """`items` holds one more than `limit` if there are more."""
    return Page(items=[show(item) for item in items[:limit]], has_more=len(items) > limit)
