"""Which chunk each adapter sits in while rows write, forward after forward.

What a chunk's adapters do is made once, of copies of their weights laid together, and kept while
they stay: from one token to the next nothing of it is made again. An adapter that writes no more
keeps its seat, and its part of the copy, until another takes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from engine.packing import Batch
from engine.plan import STRETCH_ADAPTERS, chunk_actions, merge
from engine.product import Span
from engine.resident import Placed
from engine.sites import Action

#: group, chunk and seat: the order of rows; bare rows come first
Seat = tuple[str, int, int]
STANDING: Seat = ("", 0, 0)
Actions = dict[str, list[Action]]


class _Chunk:
    """Up to `STRETCH_ADAPTERS` adapters of one group side by side."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.seats: list[tuple[int, Placed]] = []
        self._span = Span(0, [])
        self._actions: Actions | None = None

    def find(self, slot: int, placed: Placed | None) -> int | None:
        """The seat of what a slot holds."""
        for number, (its_slot, its) in enumerate(self.seats):
            if its_slot == slot and its is placed:
                return number
        return None

    def left(self, active: Mapping[int, Placed]) -> int | None:
        """The seat of an adapter that writes no more."""
        for number, (slot, placed) in enumerate(self.seats):
            if active.get(slot) is not placed:
                return number
        return None

    def sit(self, number: int, slot: int, placed: Placed) -> None:
        self.seats[number : number + 1] = [(slot, placed)]
        self._actions = None

    def acting(self, start: int, counts: Sequence[int]) -> Actions:
        self._span.move(start, counts)
        if self._actions is None:
            self._actions = chunk_actions(self._span, [placed for _, placed in self.seats])
        return self._actions


class Seating:
    """The chunks of one engine's rows that write."""

    def __init__(self) -> None:
        self._chunks: list[_Chunk] = []
        self._acting: list[Actions] = []
        self._plan: Actions = {}

    def seats(self, active: Mapping[int, Placed]) -> dict[int, Seat]:
        """Where each slot's adapter sits: where it sat, where one has left, or at an end."""
        groups = {placed.group for placed in active.values()}
        if len(self._chunks) > len(groups) + 2 * len(active) // STRETCH_ADAPTERS:
            self.clear()
        return {slot: self._seat(slot, placed, active) for slot, placed in active.items()}

    def plan(self, batch: Batch, seats: Mapping[int, Seat]) -> Actions:
        """Actions by site. Rows of `batch` are ordered by their seats."""
        acting, position = [], 0
        rows = [
            (seats.get(slot, STANDING), n)
            for slot, n in zip(batch.slots, batch.strides, strict=True)
        ]
        for (group, number), its in groupby(rows, key=lambda row: row[0][:2]):
            start = position
            counts = [0] * (len(self._chunks[number].seats) if group else 1)
            for (_, _, seat), stride in its:
                counts[seat] += stride
                position += stride
            if group:
                acting.append(self._chunks[number].acting(start, counts))
        if [id(its) for its in acting] != [id(its) for its in self._acting]:
            self._acting, self._plan = acting, {}
            for its in acting:
                merge(self._plan, its)
        return self._plan

    def clear(self) -> None:
        """Nobody sits any more."""
        self._chunks, self._acting, self._plan = [], [], {}

    def _seat(self, slot: int, placed: Placed, active: Mapping[int, Placed]) -> Seat:
        chunks = [(n, c) for n, c in enumerate(self._chunks) if c.group == placed.group]
        for number, chunk in chunks:
            if (seat := chunk.find(slot, placed)) is not None:
                return (placed.group, number, seat)
        for number, chunk in chunks:
            seat = chunk.left(active)
            if seat is None and len(chunk.seats) < STRETCH_ADAPTERS:
                seat = len(chunk.seats)
            if seat is not None:
                chunk.sit(seat, slot, placed)
                return (placed.group, number, seat)
        self._chunks.append(_Chunk(placed.group))
        self._chunks[-1].sit(0, slot, placed)
        return (placed.group, len(self._chunks) - 1, 0)
