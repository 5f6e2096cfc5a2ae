"""What the reader of a format decided where a file left it a choice. Knows no severity."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A sentence for the owner of the file, and the line that shows why."""

    message: str
    line: int
