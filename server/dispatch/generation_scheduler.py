"""Who of those that wait to write begins now, and in which slot. Knows no engine and no loop."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

from server.dispatch.entry import Entry
from server.dispatch.generation_budget import GenerationBudget, GenerationLimits
from server.dispatch.request_queue import RequestQueue
from server.dispatch.scheduler import band
from server.dispatch.sequence import RunningSequence
from server.dispatch.slots import SlotTable


class GenerationScheduler:
    """By priority and then in order of arrival. An entry that only lacks a slot is overtaken, but
    not for long: then the next slot that batches give back is its own.
    """

    def __init__(
        self,
        *,
        room: RequestQueue,
        slots: SlotTable,
        limits: GenerationLimits,
        reserve: Callable[[Mapping[str, int]], None],
        clock: Callable[[], float],
    ) -> None:
        self._room, self._slots, self._limits = room, slots, limits
        self._reserve, self._clock = reserve, clock
        self._keys = itertools.count(1)

    def begin(self, texts: Sequence[RunningSequence]) -> list[RunningSequence]:
        """The texts that begin beside these; their entries have left the room.

        When it raises, nobody has begun.
        """
        begun: list[RunningSequence] = []
        try:
            self._reserve(self._chosen(GenerationBudget(texts, self._limits), begun))
            self._room.take([text.entry for text in begun])
        except BaseException:
            self._undo(begun)
            raise
        return begun

    def _chosen(self, turn: GenerationBudget, begun: list[RunningSequence]) -> dict[str, int]:
        """Adds who begins; answers what the next free slot is kept for."""
        now = self._clock()
        reserved: dict[str, int] = {}
        for entry in self._waiting(turn):
            if not turn.has_room(entry):
                break
            has_slot = self._has_slot(entry)
            if has_slot and turn.has_adapter(entry):
                turn.add(entry)
                begun.append(self._placed(entry))
            elif now - entry.enqueued_at >= self._limits.patience_s:
                reserved = {} if has_slot else {entry.digest: entry.num_bytes}
                break
        return reserved

    def _undo(self, begun: Sequence[RunningSequence]) -> None:
        for text in begun:
            text.entry.running = False
            if text.slot:
                self._slots.release(text.entry.digest)

    def rank(self, entry: Entry) -> tuple[int, float]:
        return band(entry, self._limits.ageing_s, self._clock()), entry.enqueued_at

    def _waiting(self, turn: GenerationBudget) -> Sequence[Entry]:
        """By rank. Thousands may wait, so they are sorted only where that makes a difference."""
        if turn.is_full:
            return []
        if not any(entry.priority for entry in self._room.entries):
            return self._room.entries
        return sorted(self._room.entries, key=self.rank)

    def _has_slot(self, entry: Entry) -> bool:
        sizes = {entry.digest: entry.num_bytes}
        return not entry.digest or self._slots.fits([entry.digest], sizes)

    def _placed(self, entry: Entry) -> RunningSequence:
        slot = num_placed = num_swapped = 0
        if entry.digest:
            before = len(self._slots.placed)
            placement = self._slots.acquire([entry.digest], {entry.digest: entry.num_bytes})
            slot, num_placed = placement.slots[entry.digest], len(placement.place)
            num_swapped = before + num_placed - len(self._slots.placed)
        entry.running = True
        return RunningSequence(
            entry=entry, key=next(self._keys), slot=slot, began_at=self._clock(),
            num_placed=num_placed, num_swapped=num_swapped,
        )  # fmt: skip
