"""A queue entry while its rows write, and how many may at once. Knows no engine and no loop."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.port import Failure, Written
from server.dispatch.entry import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterLimits:
    """How much may write at once. Adapters of rows that write keep their slots all the while, so
    they may have only some of them.
    """

    max_rows: int
    max_tokens: int
    max_adapters: int


@dataclass(slots=True, eq=False, kw_only=True)
class Text:
    """An entry that writes: its rows by key, what each has written, and when it began."""

    entry: Entry
    slot: int
    began_at: float
    rows: dict[int, Written | Failure] = field(default_factory=dict)

    @property
    def going(self) -> list[int]:
        return [k for k, w in self.rows.items() if isinstance(w, Written) and not w.finish]
