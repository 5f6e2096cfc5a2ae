"""What running sequences use of the engine, and who may start beside them. Knows no queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from server.dispatch.entry import Entry
from server.dispatch.sequence import RunningSequence


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationLimits:
    """How much may be generated at once. An adapter keeps its slot while its sequences run, so
    generation may use only some of the slots and of their bytes.
    """

    max_rows: int
    max_adapters: int
    max_adapter_bytes: int
    #: blocks in which the engine keeps keys and values; 0: each row has a cache of its own
    num_blocks: int = 0
    block_tokens: int = 16
    #: for an engine without blocks: prompt tokens plus tokens that may be generated after them
    max_writing_tokens: int = 0
    #: an entry rises one priority band each time it has waited this long
    ageing_s: float = 1.0
    #: once an entry has waited this long, others start only beside what it needs
    patience_s: float = 0.1


class GenerationBudget:
    """What running sequences use, and what entries that start now add to it.

    If nothing runs, one entry may always start, however large it is. `max_tokens` is how many
    tokens of prompts one forward may have.
    """

    def __init__(
        self, running: Sequence[RunningSequence], limits: GenerationLimits, max_tokens: int
    ) -> None:
        self._limits, self._max_tokens = limits, max_tokens
        self._num_rows = self._num_prompt_tokens = self._held = 0
        self._adapters: dict[str, int] = {}
        self._rows_by_adapter, self._rows_by_tenant = Counter[str](), Counter[str]()
        #: adapters that none may start with, so that one that waits gets a place
        self._ending = set[str]()
        #: the adapter that waits for a place
        self._awaited: dict[str, int] = {}
        for sequence in running:
            self._add(sequence.entry, sequence.num_tokens, 0 if sequence.ids else None)

    @property
    def is_full(self) -> bool:
        return self._num_rows >= max(1, self._limits.max_rows)

    def leaves_room(self, entry: Entry, times_free: float) -> bool:
        """Whether the entry's tenant runs few enough rows for the others: as in the queue, at most
        so many times as are free.
        """
        num_rows = self._rows_by_tenant[entry.tenant]
        return not num_rows or num_rows < times_free * (self._limits.max_rows - self._num_rows)

    def has_adapter(self, entry: Entry) -> bool:
        """Whether the entry's adapter generates already, or may do so beside the others."""
        if not entry.digest:
            return True
        if entry.digest in self._adapters:
            return entry.digest not in self._ending
        return self._has_place(entry, self._adapters | self._awaited)

    def fits(self, entry: Entry) -> bool:
        if not self._num_rows:
            return True
        limits = self._limits
        if limits.num_blocks and self._size(entry, entry.cost) > self._budget:
            # it can never fit: it starts, so that the engine refuses it at once
            return not self.is_full
        # a prompt that is longer than one forward is processed in chunks; it starts once no other
        # prompt is being processed
        prompt_fits = (
            not self._num_prompt_tokens or self._num_prompt_tokens + entry.cost <= self._max_tokens
        )
        return (
            prompt_fits
            and not self.is_full
            and self._held + self._size(entry, entry.cost) <= self._budget
        )

    def add(self, entry: Entry) -> None:
        self._add(entry, entry.cost)

    def hold_back(self, entry: Entry) -> None:
        """Keeps what an entry needs from those that start now, until it starts in a later step.

        If its adapter has no place, those of the fewest rows generate to their end and no further.
        """
        if self.has_adapter(entry):
            # prompts are soon processed, and adapters are not: until there is a place for its own,
            # its prompt stops no other
            self._num_prompt_tokens += entry.cost
        self._num_rows += 1
        self._held += self._size(entry, entry.cost)
        if not entry.digest or entry.digest in self._adapters:
            return
        staying = dict(self._adapters)
        # in an order that is the same in the next step, so that one of them does come to its end
        for digest in sorted(staying, key=lambda name: (self._rows_by_adapter[name], name)):
            if self._has_place(entry, staying):
                break
            self._ending.add(digest)
            del staying[digest]
        self._awaited = {entry.digest: entry.num_bytes}

    @property
    def share_held(self) -> float:
        return min(1.0, self._held / self._budget) if self._budget else 0.0

    @property
    def _budget(self) -> int:
        return self._limits.num_blocks or self._limits.max_writing_tokens

    def _add(self, entry: Entry, num_tokens: int, num_prompt_tokens: int | None = None) -> None:
        """Adds an entry that holds so many tokens; None: its whole prompt is to be processed."""
        if entry.digest:
            self._adapters[entry.digest] = entry.num_bytes
            self._rows_by_adapter[entry.digest] += 1
        self._rows_by_tenant[entry.tenant] += 1
        self._num_rows += 1
        self._num_prompt_tokens += entry.cost if num_prompt_tokens is None else num_prompt_tokens
        self._held += self._size(entry, num_tokens)

    def _has_place(self, entry: Entry, others: Mapping[str, int]) -> bool:
        """Whether the entry's adapter may generate beside these."""
        if not others:
            return True
        limits, num_bytes = self._limits, sum(others.values()) + entry.num_bytes
        return len(others) < limits.max_adapters and num_bytes <= limits.max_adapter_bytes

    def _size(self, entry: Entry, num_tokens: int) -> int:
        """The blocks for its tokens and the next one: if blocks run out, the engine preempts the
        sequence of the lowest rank. An engine without blocks cannot preempt, so the size is the
        most tokens that the entry may reach.
        """
        if self._limits.num_blocks:
            return -(-(num_tokens + 1) // self._limits.block_tokens)
        return entry.max_total_tokens
