"""One labelled thing of a file, as every format gives it. Knows neither formats nor heads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Fields by name, and the line they start on; files without lines count their rows."""

    line: int
    fields: dict[str, Any]
    unit: str = "Line"

    @property
    def place(self) -> str:
        """As sentences begin: `Line 7`."""
        return f"{self.unit} {self.line}"
