"""Where each adapter sits while rows write, forward after forward.

What the adapters of a bench do is made once, of copies of their weights laid together, and kept
while they stay: from one token to the next nothing of it is made again. An adapter that writes no
more keeps its seat, and its part of the copy, until another takes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count, groupby

from engine.adapters.resident import Placed
from engine.forward.plan import Chunk, merge_actions
from engine.model.batch import Batch
from engine.ops.fixed_span import NO_SEAT, FixedSpan
from engine.ops.grouped_low_rank import Span
from engine.sites.hooks import Action

#: group, bench and seat: the order of rows; bare rows come first
Seat = tuple[str, int, int]
STANDING: Seat = ("", 0, 0)
Actions = dict[str, list[Action]]
#: more than a stretch of `plan` has: rows with one token each are multiplied by their own adapter
#: alone, however many sit beside it, and every bench costs its calls
BENCH_SEATS = 16


class AdapterGroup:
    """Seats for up to `BENCH_SEATS` adapters of one group, acting over a span.

    `layout_ids` are numbers of which none is given twice.
    """

    def __init__(self, group: str, span: Span, layout_ids: Iterator[int]) -> None:
        self.group, self.span = group, span
        self.seats: list[tuple[int, Placed]] = []
        self._layout_ids = layout_ids
        self._layout: tuple[int, Chunk] | None = None

    @property
    def actions(self) -> Actions:
        """The same value while `layout_id` is the same."""
        return self._laid_out()[1].actions

    @property
    def layout_id(self) -> int:
        """Names the copy of weights that `actions` read.

        It stays while adapters take each other's seats in that copy, and is another for every new
        copy. An address would not do: it is given again once its copy is gone.
        """
        return self._laid_out()[0]

    def _laid_out(self) -> tuple[int, Chunk]:
        if self._layout is None:
            chunk = Chunk(self.span, [placed for _, placed in self.seats])
            self._layout = (next(self._layout_ids), chunk)
        return self._layout

    def left(self, active: Mapping[int, Placed]) -> int | None:
        """The seat of an adapter that writes no more."""
        for number, (slot, placed) in enumerate(self.seats):
            if active.get(slot) is not placed:
                return number
        return None

    def sit(self, number: int, slot: int, placed: Placed) -> None:
        taken = number < len(self.seats)
        self.seats[number : number + 1] = [(slot, placed)]
        if self._layout is not None and not (taken and self._layout[1].put(number, placed)):
            self._layout = None


class PersistentBatch:
    """The benches of one engine's rows that write; `everywhere` each acts over all tokens."""

    def __init__(self, *, everywhere: bool = False) -> None:
        self._everywhere = everywhere
        self._layout_ids = count()
        self._benches: list[AdapterGroup] = []
        #: by slot, where its adapter sat last
        self._last: dict[int, Seat] = {}
        self._acting: list[int] = []
        self._plan: Actions = {}

    @property
    def layout_ids(self) -> frozenset[int]:
        """Of all copies of weights that a forward may still read."""
        return frozenset(bench.layout_id for bench in self._benches)

    def seats(self, active: Mapping[int, Placed]) -> Mapping[int, Seat]:
        """Where each slot's adapter sits: where it sat, where one has left, or at an end."""
        groups = {placed.group for placed in active.values()}
        if len(self._benches) > len(groups) + 2 * len(active) // BENCH_SEATS:
            self.clear()
        for slot, placed in active.items():
            if not self._sits(slot, placed):
                self._last[slot] = self._seat(slot, placed, active)
        return self._last

    def plan(self, batch: Batch, seats: Mapping[int, Seat]) -> Actions:
        """Actions by site. Rows of `batch` are ordered by their seats."""
        acting: list[AdapterGroup] = []
        position = 0
        rows = [
            (seats.get(slot, STANDING), n)
            for slot, n in zip(batch.slots, batch.strides, strict=True)
        ]
        for (group, number), its in groupby(rows, key=lambda row: row[0][:2]):
            start = position
            counts = [0] * (len(self._benches[number].seats) if group else 1)
            for (_, _, seat), stride in its:
                counts[seat] += stride
                position += stride
            if group:
                self._benches[number].span.move(start, counts)
                acting.append(self._benches[number])
        layout_ids = [bench.layout_id for bench in acting]
        if layout_ids != self._acting:
            self._acting, self._plan = layout_ids, {}
            for bench in acting:
                merge_actions(self._plan, bench.actions)
        return self._plan

    def taken(self, seats: Sequence[Seat]) -> list[tuple[AdapterGroup, list[int]]]:
        """The benches of those who have these seats, each with everyone's seat on it."""
        numbers = sorted({number for group, number, _ in seats if group})
        return [
            (
                self._benches[number],
                [seat if group and its == number else NO_SEAT for group, its, seat in seats],
            )
            for number in numbers
        ]

    def clear(self) -> None:
        """Nobody sits any more."""
        self._benches, self._last, self._acting, self._plan = [], {}, [], {}

    def _sits(self, slot: int, placed: Placed) -> bool:
        """Whether nobody took the seat, and the slot was not given another adapter."""
        if slot not in self._last:
            return False
        _, number, seat = self._last[slot]
        its_slot, its = self._benches[number].seats[seat]
        return its_slot == slot and its is placed

    def _seat(self, slot: int, placed: Placed, active: Mapping[int, Placed]) -> Seat:
        for number, bench in enumerate(self._benches):
            if bench.group != placed.group:
                continue
            seat = bench.left(active)
            if seat is None and len(bench.seats) < BENCH_SEATS:
                seat = len(bench.seats)
            if seat is not None:
                bench.sit(seat, slot, placed)
                return (placed.group, number, seat)
        span = FixedSpan() if self._everywhere else Span(0, [])
        self._benches.append(AdapterGroup(placed.group, span, self._layout_ids))
        self._benches[-1].sit(0, slot, placed)
        return (placed.group, len(self._benches) - 1, 0)
