"""The slot table against a model that is a list and a dictionary."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from server.dispatch.slots import SlotsExhausted, SlotTable

SIZES = {"a": 1, "b": 2, "c": 3, "d": 5, "e": 8, "f": 2, "g": 1}
NUM_SLOTS, BUDGET = 3, 10
BATCHES = st.lists(st.sampled_from(sorted(SIZES)), min_size=1, max_size=4, unique=True)


class SlotTableMachine(RuleBasedStateMachine):
    """The model: digests in order of use, and how many leases each has."""

    def __init__(self) -> None:
        super().__init__()
        self.table = SlotTable(NUM_SLOTS, BUDGET)
        self.order: list[str] = []
        self.leases: dict[str, int] = {}

    def room_for(self, batch: list[str]) -> list[str] | None:
        """What is left once the least recently used made room, one by one; None: it never fits."""
        left = list(self.order)
        free = [d for d in self.order if not self.leases[d] and d not in batch]
        while True:
            wanted = {*left, *batch}
            if len(wanted) <= NUM_SLOTS and sum(SIZES[d] for d in wanted) <= BUDGET:
                return left
            if not free:
                return None
            left.remove(free.pop(0))

    @rule(batch=BATCHES)
    def acquire(self, batch: list[str]) -> None:
        left, before = self.room_for(batch), self.table.placed
        assert self.table.fits(batch, SIZES) == (left is not None)
        try:
            placement = self.table.acquire(batch, SIZES)
        except SlotsExhausted:
            assert left is None
            assert self.table.placed == before
            return
        assert left is not None
        assert set(placement.slots) == set(batch)
        assert set(placement.place.values()) == set(batch) - set(self.order)
        self.order = [d for d in left if d not in batch] + batch
        self.leases = {d: self.leases.get(d, 0) + (d in batch) for d in self.order}

    @precondition(lambda self: any(self.leases.values()))
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        digest = data.draw(st.sampled_from(sorted(d for d, n in self.leases.items() if n)))
        self.table.release(digest)
        self.leases[digest] -= 1

    @rule(digest=st.sampled_from(sorted(SIZES)))
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
        assert list(self.table.placed.values()) == self.order
        assert self.table.num_leases == sum(self.leases.values())

    @invariant()
    def count_and_budget_are_respected(self) -> None:
        assert set(self.table.placed) <= set(range(1, NUM_SLOTS + 1))
        assert self.table.num_bytes <= BUDGET


TestSlotTable = SlotTableMachine.TestCase
TestSlotTable.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
