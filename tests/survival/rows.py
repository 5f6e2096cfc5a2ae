"""What adapterd is to withstand, as `rows.toml` has it. Knows nothing of the tests."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

AREAS = {
    "A": "Uploaded adapters",
    "B": "Callers and their rights",
    "C": "Inputs of a call",
    "D": "Isolation of tenants",
    "E": "Life cycle of versions",
    "F": "Training",
    "G": "Storage",
    "H": "Load, network, operation",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A situation, what must happen in it, and what of that no test proves."""

    id: str
    situation: str
    expected: str
    #: the part that no test proves, where tests prove the rest
    open: str = ""
    #: why there is no test at all
    reason: str = ""

    @property
    def area(self) -> str:
        return self.id[0]


def read_rows() -> list[Row]:
    text = (Path(__file__).parent / "rows.toml").read_text(encoding="utf-8")
    return [Row(id=name, **fields) for name, fields in tomllib.loads(text).items()]
