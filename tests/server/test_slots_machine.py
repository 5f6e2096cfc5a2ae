"""The slot table against a model of its order, and against an engine that runs steps later."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from server.dispatch.slots import SlotsExhausted, SlotTable

SIZES = {"a": 1, "b": 2, "c": 3, "d": 5, "e": 8, "f": 2, "g": 1}
NUM_SLOTS, BUDGET = 3, 10
DIGESTS = st.sampled_from(sorted(SIZES))
BATCHES = st.lists(DIGESTS, min_size=1, max_size=4, unique=True)


def sizes(batch: list[str]) -> dict[str, int]:
    return {digest: SIZES[digest] for digest in batch}


class SlotTableMachine(RuleBasedStateMachine):
    """The model: digests in order of use, and how many leases each has."""

    def __init__(self) -> None:
        super().__init__()
        self.table = SlotTable(NUM_SLOTS, BUDGET)
        self.order: list[str] = []
        self.leases: dict[str, int] = {}

    def left_beside(self, batch: list[str]) -> list[str] | None:
        """What is left once the least recently used made room, one by one; None: it never fits."""
        left = list(self.order)
        free = [d for d in self.order if not self.leases[d] and d not in batch]
        while True:
            needed = {*left, *batch}
            if len(needed) <= NUM_SLOTS and sum(SIZES[d] for d in needed) <= BUDGET:
                return left
            if not free:
                return None
            left.remove(free.pop(0))

    def use(self, batch: list[str], left: list[str]) -> None:
        recent = [d for d in batch if not self.leases.get(d)]
        # a digest that was placed before comes to the end first, then come the new ones
        recent.sort(key=lambda d: d not in left)
        self.order = [d for d in left if d not in recent] + recent
        self.leases = {d: self.leases.get(d, 0) for d in self.order}

    @rule(batch=BATCHES)
    def place(self, batch: list[str]) -> None:
        left, before = self.left_beside(batch), self.table.placed
        assert self.table.fits(sizes(batch)) == (left is not None)
        try:
            placement = self.table.place(sizes(batch))
        except SlotsExhausted:
            assert left is None
            assert self.table.placed == before
            return
        assert left is not None
        assert set(placement.slots) == set(batch)
        assert set(placement.placed) == set(batch) - set(self.order)
        assert placement.num_swapped == len(self.order) - len(left)
        self.use(batch, left)

    @rule(digest=DIGESTS)
    def acquire(self, digest: str) -> None:
        left = self.left_beside([digest])
        if left is None:
            assert not self.table.fits(sizes([digest]))
            return
        self.table.acquire(digest, SIZES[digest])
        self.use([digest], left)
        self.leases[digest] += 1

    @precondition(lambda self: any(self.leases.values()))
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        digest = data.draw(st.sampled_from(sorted(d for d, n in self.leases.items() if n)))
        self.table.release(digest)
        self.leases[digest] -= 1
        if not self.leases[digest]:
            self.order = [*(d for d in self.order if d != digest), digest]

    @rule(digest=DIGESTS)
    def forget(self, digest: str) -> None:
        goes = digest in self.order and not self.leases[digest]
        assert (self.table.forget(digest) is not None) == goes
        if goes:
            self.order.remove(digest)
            del self.leases[digest]

    @rule()
    def clear(self) -> None:
        self.table.clear()
        self.order, self.leases = [], {}

    @invariant()
    def the_table_holds_what_the_model_holds_in_the_same_order(self) -> None:
        idle = [d for d in self.order if not self.leases[d]]
        placed = list(self.table.placed.values())
        assert placed[: len(idle)] == idle
        assert set(placed) == set(self.order)
        assert self.table.num_placed == len(self.order)
        assert self.table.num_leases == sum(self.leases.values())

    @invariant()
    def count_and_budget_are_respected(self) -> None:
        assert set(self.table.placed) <= set(range(1, NUM_SLOTS + 1))
        assert self.table.num_bytes == sum(SIZES[d] for d in self.order) <= BUDGET


@dataclass(frozen=True)
class Step:
    """What the engine does with slots: places what is named, then computes."""

    place: dict[int, str]
    #: of a generation that goes on, whose slots are not named any more
    runs: tuple[tuple[int, str], ...] = ()
    #: how many slots are placed before the step fails; None: it does not fail
    fails_after: int | None = None


class SlotsOfAnEngineMachine(RuleBasedStateMachine):
    """Batches and generations share a table, and the engine lags behind by any number of steps:
    no row is ever computed with another digest than its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.table = SlotTable(NUM_SLOTS, BUDGET)
        self.sent: deque[tuple[Step, list[str]]] = deque()
        self.held: dict[int, str] = {}
        self.generations: list[tuple[int, str]] = []

    @rule(batch=BATCHES, fails_after=st.none() | st.integers(0, 3))
    def send_a_batch(self, batch: list[str], fails_after: int | None) -> None:
        if not self.table.fits(sizes(batch)):
            return
        placement = self.table.place(sizes(batch))
        place = {slot: digest for digest, slot in placement.slots.items()}
        self.sent.append((Step(place, fails_after=fails_after), placement.placed))

    @rule(digest=DIGESTS)
    def start_a_generation(self, digest: str) -> None:
        if not self.table.fits(sizes([digest])):
            return
        slot = self.table.acquire(digest, SIZES[digest]).slots[digest]
        self.sent.append((Step({slot: digest}), []))
        self.generations.append((slot, digest))

    @precondition(lambda self: self.generations)
    @rule()
    def go_on_generating(self) -> None:
        self.sent.append((Step({}, runs=tuple(self.generations)), []))

    @precondition(lambda self: self.generations)
    @rule(data=st.data())
    def end_a_generation(self, data: st.DataObject) -> None:
        ended = data.draw(st.sampled_from(self.generations))
        self.generations.remove(ended)
        self.table.release(ended[1])

    @rule(digest=DIGESTS)
    def unload(self, digest: str) -> None:
        in_use = {d for step, _ in self.sent for d in step.place.values()}
        if digest not in in_use | {d for _, d in self.generations}:
            self.table.forget(digest)

    @precondition(lambda self: self.sent)
    @rule()
    def run_a_step(self) -> None:
        step, placed = self.sent.popleft()
        for number, (slot, digest) in enumerate(step.place.items()):
            if number == step.fails_after:
                break
            self.held[slot] = digest
        if step.fails_after is not None:
            for digest in placed:
                self.table.forget(digest)
            return
        for slot, digest in (*step.place.items(), *step.runs):
            assert self.held[slot] == digest


TestSlotTable = SlotTableMachine.TestCase
TestSlotTable.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestSlotsOfAnEngine = SlotsOfAnEngineMachine.TestCase
TestSlotsOfAnEngine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
