"""What the readers of all formats yield: records, and notices about their own decisions. Knows
neither formats nor heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Fields by name, and the line that they start on; files without lines count their rows."""

    line: int
    fields: dict[str, Any]
    unit: str = "Line"
    #: whether all rows of the file have these fields, as in a table
    tabular: bool = False

    @property
    def place(self) -> str:
        """The beginning of a sentence about the record: `Line 7`."""
        return f"{self.unit} {self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A sentence for the owner of the file, and the line that shows the reason."""

    message: str
    line: int
