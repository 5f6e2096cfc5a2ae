"""Chooses which waiting generation entries start now, and their slots. Knows no engine and no event
loop.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence

from server.dispatch.batch_scheduler import Patience, band
from server.dispatch.entry import Entry
from server.dispatch.generation_budget import GenerationBudget, GenerationLimits
from server.dispatch.request_queue import RequestQueue
from server.dispatch.sequence import RunningSequence
from server.dispatch.slots import SlotTable


class GenerationScheduler:
    """Starts entries in the order of turns. One that cannot start yet delays its own tenant only;
    once it has waited `patience_s`, what it needs is kept for it.
    """

    def __init__(
        self,
        *,
        queue: RequestQueue,
        slots: SlotTable,
        limits: GenerationLimits,
        clock: Callable[[], float],
    ) -> None:
        self._queue, self._slots, self._limits = queue, slots, limits
        self._clock = clock
        self._keys = itertools.count(1)

    def schedule(
        self, running: Sequence[RunningSequence], max_tokens: int
    ) -> tuple[list[RunningSequence], list[Entry]]:
        """The sequences that start beside the running ones, whose entries have left the queue; and
        expired entries.

        If it raises, none has started.
        """
        new: list[RunningSequence] = []
        try:
            expired = self._choose(GenerationBudget(running, self._limits, max_tokens), new)
            self._queue.take([sequence.entry for sequence in new])
        except BaseException:
            self._undo(new)
            raise
        return new, expired

    def _choose(self, budget: GenerationBudget, new: list[RunningSequence]) -> list[Entry]:
        """Fills `new`; returns the expired entries that it came across."""
        now = self._clock()
        expired: list[Entry] = []
        patience = Patience(self._limits.patience_s, self._limits.max_rows, now)
        due, is_held = self._queue.in_turn(now), False
        for entry in due if not budget.is_full else ():
            if entry.abandoned or entry.is_late(now):
                expired.append(entry)
                due.pass_over()
            elif budget.is_full:
                break
            elif not budget.leaves_room(entry, self._queue.times_free(entry.tenant)):
                due.pass_over(leave_out=True)
            elif not (fits := budget.fits(entry)) or not self._has_adapter(entry, budget):
                due.pass_over(leave_out=not patience.allows_more(entry) or not fits)
                if patience.has_ended(entry) and not is_held:
                    budget.hold_back(entry)
                    is_held = True
            else:
                budget.add(entry)
                new.append(self._place(entry))
        return expired

    def _undo(self, new: Sequence[RunningSequence]) -> None:
        for sequence in new:
            sequence.entry.running = False
            if sequence.slot:
                self._slots.release(sequence.entry.digest)

    def rank(self, sequences: Sequence[RunningSequence]) -> list[RunningSequence]:
        """By bands, and in a band by arrival, a sequence of each tenant in turn. The engine first
        preempts the last, which so is one of the tenant that runs most.
        """
        now, counts = self._clock(), Counter[tuple[int, str]]()
        ranked: list[tuple[int, int, float, int, RunningSequence]] = []
        for sequence in sorted(sequences, key=lambda running: running.entry.enqueued_at):
            entry = sequence.entry
            rank = band(entry, self._limits.ageing_s, now)
            counts[rank, entry.tenant] += 1
            number = counts[rank, entry.tenant]
            ranked.append((rank, number, entry.enqueued_at, sequence.key, sequence))
        return [sequence for *_, sequence in sorted(ranked)]

    def _has_adapter(self, entry: Entry, budget: GenerationBudget) -> bool:
        if not entry.digest:
            return True
        return budget.has_adapter(entry) and self._slots.fits({entry.digest: entry.num_bytes})

    def _place(self, entry: Entry) -> RunningSequence:
        slot = num_placed = num_swapped = 0
        if entry.digest:
            placement = self._slots.acquire(entry.digest, entry.num_bytes)
            slot, num_placed = placement.slots[entry.digest], len(placement.placed)
            num_swapped = placement.num_swapped
        entry.running = True
        return RunningSequence(
            entry=entry,
            key=next(self._keys),
            slot=slot,
            started_at=self._clock(),
            num_placed=num_placed,
            num_swapped=num_swapped,
        )
