"""Who of those that wait to write begins now, and in which slot. Knows no engine and no loop."""

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

    def __init__(self, running: Sequence[RunningSequence], limits: GenerationLimits) -> None:
        self._limits = limits
        self._adapters = {sequence.entry.digest for sequence in running} - {""}
        self._num_rows = len(running)
        self._num_unread = sum(sequence.entry.cost for sequence in running if not sequence.ids)
        self._held = sum(self._size(sequence.entry, sequence.num_tokens) for sequence in running)

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
