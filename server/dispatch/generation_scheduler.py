"""Chooses which waiting generation entries start now, and their slots. Knows no engine and no event
loop.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from server.dispatch.batch_scheduler import band
from server.dispatch.entry import Entry
from server.dispatch.request_queue import RequestQueue
from server.dispatch.sequence import RunningSequence
from server.dispatch.slots import SlotTable


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationLimits:
    """How much may be generated at once. An adapter keeps its slot while its sequences run, so
    generation may use only some of the slots.
    """

    max_rows: int
    #: prompt tokens in one forward
    max_tokens: int
    max_adapters: int
    #: blocks in which the engine keeps keys and values; 0: each row has a cache of its own
    num_blocks: int = 0
    block_tokens: int = 16
    #: for an engine without blocks: prompt tokens plus tokens that may be generated after them
    max_writing_tokens: int = 0
    #: an entry rises one priority band each time it has waited this long
    ageing_s: float = 1.0
    #: an entry that has waited this long for a slot is not overtaken any more
    patience_s: float = 0.1


class GenerationBudget:
    """What running sequences use, and what entries that start now add to it.

    If nothing runs, one entry may always start, however large it is.
    """

    def __init__(self, running: Sequence[RunningSequence], limits: GenerationLimits) -> None:
        self._limits = limits
        self._adapters = {sequence.entry.digest for sequence in running} - {""}
        self._num_rows = len(running)
        self._num_prompt_tokens = sum(
            sequence.entry.cost for sequence in running if not sequence.ids
        )
        self._held = sum(self._size(sequence.entry, sequence.num_tokens) for sequence in running)

    @property
    def is_full(self) -> bool:
        return self._num_rows >= max(1, self._limits.max_rows)

    def has_adapter(self, entry: Entry) -> bool:
        """Whether the entry's adapter generates already, or may do so beside the others."""
        adapter = {entry.digest} - {""}
        return len(self._adapters | adapter) <= max(self._limits.max_adapters, len(self._adapters))

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
            not self._num_prompt_tokens or self._num_prompt_tokens + entry.cost <= limits.max_tokens
        )
        return (
            prompt_fits
            and not self.is_full
            and self._held + self._size(entry, entry.cost) <= self._budget
        )

    def add(self, entry: Entry) -> None:
        self._adapters |= {entry.digest} - {""}
        self._num_rows += 1
        self._num_prompt_tokens += entry.cost
        self._held += self._size(entry, entry.cost)

    @property
    def share_held(self) -> float:
        return min(1.0, self._held / self._budget) if self._budget else 0.0

    @property
    def _budget(self) -> int:
        return self._limits.num_blocks or self._limits.max_writing_tokens

    def _size(self, entry: Entry, num_tokens: int) -> int:
        """The blocks for its tokens and the next one: if blocks run out, the engine preempts the
        sequence of the lowest rank. An engine without blocks cannot preempt, so the size is the
        most tokens that the entry may reach.
        """
        if self._limits.num_blocks:
            return -(-(num_tokens + 1) // self._limits.block_tokens)
        return entry.max_total_tokens


class GenerationScheduler:
    """Starts entries by priority, then in order of arrival. An entry that only lacks a slot may be
    overtaken for `patience_s`; after that, the next slot that batches release is reserved for it.
    """

    def __init__(
        self,
        *,
        queue: RequestQueue,
        slots: SlotTable,
        limits: GenerationLimits,
        reserve: Callable[[Mapping[str, int]], None],
        clock: Callable[[], float],
    ) -> None:
        self._queue, self._slots, self._limits = queue, slots, limits
        self._reserve, self._clock = reserve, clock
        self._keys = itertools.count(1)

    def schedule(self, running: Sequence[RunningSequence]) -> list[RunningSequence]:
        """The sequences that start beside the running ones; their entries have left the queue.

        If it raises, none has started.
        """
        new: list[RunningSequence] = []
        try:
            self._reserve(self._choose(GenerationBudget(running, self._limits), new))
            self._queue.remove([sequence.entry for sequence in new])
        except BaseException:
            self._undo(new)
            raise
        return new

    def _choose(self, budget: GenerationBudget, new: list[RunningSequence]) -> dict[str, int]:
        """Fills `new`; returns the digest and bytes that the next free slot is reserved for."""
        now = self._clock()
        reserved: dict[str, int] = {}
        for entry in self._waiting(budget):
            if not budget.fits(entry):
                break
            has_slot = self._has_slot(entry)
            if has_slot and budget.has_adapter(entry):
                budget.add(entry)
                new.append(self._place(entry))
            elif now - entry.enqueued_at >= self._limits.patience_s:
                reserved = {} if has_slot else {entry.digest: entry.num_bytes}
                break
        return reserved

    def _undo(self, new: Sequence[RunningSequence]) -> None:
        for sequence in new:
            sequence.entry.running = False
            if sequence.slot:
                self._slots.release(sequence.entry.digest)

    def rank(self, entry: Entry) -> tuple[int, float]:
        return band(entry, self._limits.ageing_s, self._clock()), entry.enqueued_at

    def _waiting(self, budget: GenerationBudget) -> Sequence[Entry]:
        """By rank. Thousands may wait, so they are sorted only if priorities differ."""
        if budget.is_full:
            return []
        if not any(entry.priority for entry in self._queue.entries):
            return self._queue.entries
        return sorted(self._queue.entries, key=self.rank)

    def _has_slot(self, entry: Entry) -> bool:
        sizes = {entry.digest: entry.num_bytes}
        return not entry.digest or self._slots.fits([entry.digest], sizes)

    def _place(self, entry: Entry) -> RunningSequence:
        slot = num_placed = num_swapped = 0
        if entry.digest:
            before = len(self._slots.placed)
            placement = self._slots.acquire([entry.digest], {entry.digest: entry.num_bytes})
            slot, num_placed = placement.slots[entry.digest], len(placement.place)
            num_swapped = before + num_placed - len(self._slots.placed)
        entry.running = True
        return RunningSequence(
            entry=entry,
            key=next(self._keys),
            slot=slot,
            started_at=self._clock(),
            num_placed=num_placed,
            num_swapped=num_swapped,
        )
