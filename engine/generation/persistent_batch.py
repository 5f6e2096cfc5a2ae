"""Which lane of which group each adapter has while sequences decode, from forward to forward.

The actions of a group are built once, from copies of its adapters' weights stacked together, and
kept while the group stays as it is: between two tokens nothing is built again. An adapter whose
sequences have ended keeps its lane, and its part of the copy, until another adapter takes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count, groupby

from engine.adapters.resident import Placed
from engine.forward.plan import StackedAdapters, merge_actions
from engine.model.batch import Batch
from engine.ops.fixed_span import NO_LANE, FixedSpan
from engine.ops.grouped_low_rank import Span
from engine.sites.hooks import Action

#: name of the group, number of the group and lane: the order of rows; rows of the bare base first
Lane = tuple[str, int, int]
NO_GROUP: Lane = ("", 0, 0)
Actions = dict[str, list[Action]]
#: more than `plan` stacks: rows with one token each are multiplied by their own adapter alone,
#: however many lanes there are, and every group costs its calls
GROUP_LANES = 16


class AdapterGroup:
    """Lanes for up to `GROUP_LANES` adapters that may be stacked, acting over a span.

    `layout_ids` yields numbers that are never repeated.
    """

    def __init__(self, group: str, span: Span, layout_ids: Iterator[int]) -> None:
        self.group, self.span = group, span
        self.lanes: list[tuple[int, Placed]] = []
        self._layout_ids = layout_ids
        self._layout: tuple[int, StackedAdapters] | None = None

    @property
    def actions(self) -> Actions:
        """The same value while `layout_id` is the same."""
        return self._laid_out()[1].actions

    @property
    def layout_id(self) -> int:
        """Identifies the copy of weights that `actions` read.

        It stays the same while adapters replace each other in that copy, and changes with every new
        copy. An address would not do: it is reused once its copy is freed.
        """
        return self._laid_out()[0]

    def _laid_out(self) -> tuple[int, StackedAdapters]:
        if self._layout is None:
            stacked = StackedAdapters(self.span, [placed for _, placed in self.lanes])
            self._layout = (next(self._layout_ids), stacked)
        return self._layout

    def find_free_lane(self, active: Mapping[int, Placed]) -> int | None:
        """The lane of an adapter that is no longer active."""
        for number, (slot, placed) in enumerate(self.lanes):
            if active.get(slot) is not placed:
                return number
        return None

    def put(self, number: int, slot: int, placed: Placed) -> None:
        is_occupied = number < len(self.lanes)
        self.lanes[number : number + 1] = [(slot, placed)]
        if self._layout is not None and not (is_occupied and self._layout[1].put(number, placed)):
            self._layout = None


class PersistentBatch:
    """The groups of one engine's active adapters. With `everywhere` each acts over all tokens."""

    def __init__(self, *, everywhere: bool = False) -> None:
        self._everywhere = everywhere
        self._layout_ids = count()
        self._groups: list[AdapterGroup] = []
        #: by slot, the last lane of its adapter
        self._last: dict[int, Lane] = {}
        self._acting: list[int] = []
        self._plan: Actions = {}

    @property
    def layout_ids(self) -> frozenset[int]:
        """Of all copies of weights that a forward may still read."""
        return frozenset(adapter_group.layout_id for adapter_group in self._groups)

    def assign_lanes(self, active: Mapping[int, Placed]) -> Mapping[int, Lane]:
        """The lane of each slot's adapter: the one it had, a free one, or a new one."""
        groups = {placed.group for placed in active.values()}
        if len(self._groups) > len(groups) + 2 * len(active) // GROUP_LANES:
            self.clear()
        for slot, placed in active.items():
            if not self._keeps_lane(slot, placed):
                self._last[slot] = self._find_lane(slot, placed, active)
        return self._last

    def plan(self, batch: Batch, lanes: Mapping[int, Lane]) -> Actions:
        """Actions by site. Rows of `batch` are ordered by their lanes."""
        acting: list[AdapterGroup] = []
        position = 0
        rows = [
            (lanes.get(slot, NO_GROUP), n)
            for slot, n in zip(batch.slots, batch.strides, strict=True)
        ]
        for (group, number), its in groupby(rows, key=lambda row: row[0][:2]):
            start = position
            counts = [0] * (len(self._groups[number].lanes) if group else 1)
            for (_, _, lane), stride in its:
                counts[lane] += stride
                position += stride
            if group:
                self._groups[number].span.move(start, counts)
                acting.append(self._groups[number])
        layout_ids = [adapter_group.layout_id for adapter_group in acting]
        if layout_ids != self._acting:
            self._acting, self._plan = layout_ids, {}
            for adapter_group in acting:
                merge_actions(self._plan, adapter_group.actions)
        return self._plan

    def lanes_by_group(self, lanes: Sequence[Lane]) -> list[tuple[AdapterGroup, list[int]]]:
        """The groups of these lanes, each with the lane that every row has in it."""
        numbers = sorted({number for group, number, _ in lanes if group})
        return [
            (
                self._groups[number],
                [lane if group and its == number else NO_LANE for group, its, lane in lanes],
            )
            for number in numbers
        ]

    def clear(self) -> None:
        """Free every lane."""
        self._groups, self._last, self._acting, self._plan = [], {}, [], {}

    def _keeps_lane(self, slot: int, placed: Placed) -> bool:
        """Whether the lane was not given away, and the slot still holds the same adapter."""
        if slot not in self._last:
            return False
        _, number, lane = self._last[slot]
        its_slot, its = self._groups[number].lanes[lane]
        return its_slot == slot and its is placed

    def _find_lane(self, slot: int, placed: Placed, active: Mapping[int, Placed]) -> Lane:
        for number, adapter_group in enumerate(self._groups):
            if adapter_group.group != placed.group:
                continue
            lane = adapter_group.find_free_lane(active)
            if lane is None and len(adapter_group.lanes) < GROUP_LANES:
                lane = len(adapter_group.lanes)
            if lane is not None:
                adapter_group.put(lane, slot, placed)
                return (placed.group, number, lane)
        span = FixedSpan() if self._everywhere else Span(0, [])
        self._groups.append(AdapterGroup(placed.group, span, self._layout_ids))
        self._groups[-1].put(0, slot, placed)
        return (placed.group, len(self._groups) - 1, 0)
