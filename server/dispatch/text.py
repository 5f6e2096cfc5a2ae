"""A queue entry while its rows write, and how many may at once. Knows no engine and no loop."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.port import Failure, Written
from engine.slots import Placement
from server.dispatch.entry import Answer, Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterLimits:
    """How much may write at once. Adapters of rows that write keep their slots all the while, so
    they may have only some of them.
    """

    max_rows: int
    #: of prompts that begin together
    max_tokens: int
    #: of prompts and of what may be written after them: all that the engine keeps for them
    max_writing_tokens: int
    max_adapters: int


@dataclass(slots=True, eq=False, kw_only=True)
class Text:
    """An entry that writes: its rows by key, what each has written, and when it began."""

    entry: Entry
    placement: Placement
    #: how many adapters had to leave their slots for it
    num_swapped: int
    began_at: float
    rows: dict[int, Written | Failure] = field(default_factory=dict)

    def take(self, key: int, result: Written | Failure) -> None:
        """What the row wrote in one step, after what it wrote before."""
        before = self.rows.get(key)
        if isinstance(before, Written) and isinstance(result, Written):
            result = Written(ids=before.ids + result.ids, finish=result.finish)
        self.rows[key] = result

    def answer(self, now: float) -> Answer:
        return Answer(
            rows=list(self.rows.values()),
            queue_s=self.queue_s,
            compute_s=now - self.began_at,
        )

    @property
    def slot(self) -> int:
        return self.placement.slots[self.entry.digest]

    @property
    def num_placed(self) -> int:
        return len(self.placement.place)

    @property
    def queue_s(self) -> float:
        return self.began_at - self.entry.enqueued_at

    @property
    def going(self) -> list[int]:
        return [k for k, w in self.rows.items() if isinstance(w, Written) and not w.finish]
