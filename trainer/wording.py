"""Numbers in sentences for people. Knows nothing that is counted."""

from __future__ import annotations


def count_of(number: int, one: str, many: str = "") -> str:
    """`1 row`, `2 rows`; `many` is needed where more than the last word changes."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
