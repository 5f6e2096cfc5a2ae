"""Which entries begin to write in one turn, and how much may. Knows no engine and no loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from server.dispatch.entry import Entry
from server.dispatch.sequence import RunningSequence


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationLimits:
    """How much may write at once. Adapters of rows that write keep their slots all the while, so
    they may have only some of them.
    """

    max_rows: int
    #: of prompts that are read in one forward
    max_tokens: int
    max_adapters: int
    #: what the engine keeps keys and values in; none: each row keeps its own
    num_blocks: int = 0
    block_tokens: int = 16
    #: without blocks: of prompts and of what may be written after them
    max_writing_tokens: int = 0
    #: an entry rises one priority band each time it has waited this long
    ageing_s: float = 1.0
    #: an entry that has waited this long for a slot is not overtaken any more
    patience_s: float = 0.1


class GenerationBudget:
    """What writes already, and what begins beside it now.

    Where nothing else writes, one entry may always begin, however large it is.
    """

    def __init__(self, texts: Sequence[RunningSequence], limits: GenerationLimits) -> None:
        self._limits = limits
        self._adapters = {text.entry.digest for text in texts} - {""}
        self._num_rows = len(texts)
        self._num_unread = sum(text.entry.cost for text in texts if not text.ids)
        self._held = sum(self._size(text.entry, text.num_tokens) for text in texts)

    @property
    def is_full(self) -> bool:
        return self._num_rows >= max(1, self._limits.max_rows)

    def has_adapter(self, entry: Entry) -> bool:
        """Whether the entry's adapter writes already, or may do so beside the others."""
        wanted = {entry.digest} - {""}
        return len(self._adapters | wanted) <= max(self._limits.max_adapters, len(self._adapters))

    def has_room(self, entry: Entry) -> bool:
        if not self._num_rows:
            return True
        limits = self._limits
        if limits.num_blocks and self._size(entry, entry.cost) > self._budget:
            # no room would ever be enough: the engine says so at once, and nobody waits for it
            return not self.is_full
        # a prompt longer than a forward's share is read in several, so it need not wait for a
        # moment when nobody else reads; but what could not be read now need not begin now
        reads = not self._num_unread or self._num_unread + entry.cost <= limits.max_tokens
        return (
            reads
            and not self.is_full
            and self._held + self._size(entry, entry.cost) <= self._budget
        )

    def add(self, entry: Entry) -> None:
        self._adapters |= {entry.digest} - {""}
        self._num_rows += 1
        self._num_unread += entry.cost
        self._held += self._size(entry, entry.cost)

    @property
    def share_held(self) -> float:
        return min(1.0, self._held / self._budget) if self._budget else 0.0

    @property
    def _budget(self) -> int:
        return self._limits.num_blocks or self._limits.max_writing_tokens

    def _size(self, entry: Entry, num_tokens: int) -> int:
        """In blocks what it holds now, with the next token: where they run out, the engine takes
        those of the last. Without blocks nobody can, so there it is what the entry may come to.
        """
        if self._limits.num_blocks:
            return -(-(num_tokens + 1) // self._limits.block_tokens)
        return entry.num_writing_tokens
