"""Which entries begin to write in one turn, and how much may. Knows no engine and no loop."""

from __future__ import annotations

from collections.abc import Sequence

from server.dispatch.entry import Entry
from server.dispatch.text import Text, WriterLimits


class Turn:
    """What writes already, and what begins beside it now.

    Where nothing else writes, one entry may always begin, however large it is.
    """

    def __init__(self, texts: Sequence[Text], limits: WriterLimits) -> None:
        self.chosen: list[Entry] = []
        self._limits = limits
        self._held = {text.entry.digest for text in texts}
        self._num_rows = sum(len(text.going) for text in texts)
        self._num_prompt_tokens = 0
        self._num_writing_tokens = sum(text.entry.num_writing_tokens for text in texts)

    def has_room(self, entry: Entry) -> bool:
        limits = self._limits
        # of this turn only: what began earlier has its prompt behind it, so a prompt longer than
        # the limit need not wait until nobody writes
        if self.chosen and self._num_prompt_tokens + entry.cost > limits.max_tokens:
            return False
        return not self._held or (
            self._num_rows + entry.num_rows <= limits.max_rows
            and self._num_writing_tokens + entry.num_writing_tokens <= limits.max_writing_tokens
            and len(self._held | {entry.digest}) <= limits.max_adapters
        )

    def add(self, entry: Entry) -> None:
        self.chosen.append(entry)
        self._held.add(entry.digest)
        self._num_rows += entry.num_rows
        self._num_prompt_tokens += entry.cost
        self._num_writing_tokens += entry.num_writing_tokens
