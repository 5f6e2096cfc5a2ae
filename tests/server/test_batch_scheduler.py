"""The scheduling decision, as the pure function it is; `due` is in the order of turns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.dispatch.batch_scheduler import BatchLimits, decide

LIMITS = BatchLimits(max_tokens=100, max_rows=8, num_slots=2, slot_bytes=1000)


@dataclass(frozen=True, kw_only=True)
class Item:
    tenant: str = "acme"
    digest: str = "a"
    num_bytes: int = 1
    num_rows: int = 1
    cost: int = 10
    priority: int = 0
    deadline: float | None = None
    enqueued_at: float = 0.0
    abandoned: bool = False
    alone: bool = False
    name: str = ""


class InOrder:
    """Entries in a given order instead of that of turns; a tenant may be left out."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items, self._latest = items, Item()
        self._left_out = set[str]()

    def __iter__(self) -> Iterator[Item]:
        for item in self._items:
            if item.tenant not in self._left_out:
                self._latest = item
                yield item

    def pass_over(self, *, leave_out: bool = False) -> None:
        if leave_out:
            self._left_out.add(self._latest.tenant)


def chosen(*queue: Item, now: float = 0.0, leased: dict[str, int] | None = None) -> list[Item]:
    return decide(InOrder(queue), leased or {}, LIMITS, now).chosen


def test_entries_go_first_come_first_served() -> None:
    queue = [Item(name=str(i)) for i in range(5)]
    assert chosen(*queue) == queue


def test_a_batch_stops_at_the_token_budget() -> None:
    assert len(chosen(*[Item(cost=40)] * 5)) == 2


def test_a_batch_stops_at_the_row_budget() -> None:
    assert len(chosen(*[Item(num_rows=3)] * 5)) == 2


def test_an_entry_larger_than_the_budget_goes_by_itself() -> None:
    assert chosen(Item(cost=500), Item()) == [Item(cost=500)]


def test_rows_of_one_digest_stay_side_by_side() -> None:
    digests = [item.digest for item in chosen(*(Item(digest=d) for d in "abab"))]
    assert digests == ["a", "a", "b", "b"]


@pytest.mark.survival("H3")
def test_expired_and_abandoned_entries_are_dropped_before_anything_is_chosen() -> None:
    expired, gone, live = Item(deadline=1.0), Item(abandoned=True), Item(deadline=3.0)
    decision = decide(InOrder([expired, gone, live]), {}, LIMITS, now=2.0)
    assert (decision.dropped, decision.chosen) == ([expired, gone], [live])


@pytest.mark.survival("E5")
def test_more_adapters_than_slots_never_share_a_batch() -> None:
    assert [item.digest for item in chosen(*(Item(digest=d) for d in "abca"))] == ["a", "a", "b"]


def test_adapters_beyond_the_byte_budget_never_share_a_batch() -> None:
    big = [Item(digest=d, num_bytes=600) for d in "ab"]
    assert chosen(*big) == big[:1]


def test_an_entry_without_a_slot_delays_only_itself() -> None:
    cold, warm = Item(digest="cold"), Item(digest="a")
    assert chosen(cold, warm, leased={"a": 1, "b": 1}) == [warm]


@pytest.mark.survival("E6")
def test_an_entry_that_waited_long_for_a_slot_is_not_overtaken_by_its_own_tenant() -> None:
    cold, warm = Item(digest="cold"), Item(digest="a")
    other = Item(digest="a", tenant="globex", enqueued_at=0.2)
    assert chosen(cold, warm, other, leased={"a": 1, "b": 1}, now=0.2) == [other]


def test_a_decision_reads_no_further_than_the_batch_goes() -> None:
    read: list[Item] = []

    def due() -> Iterator[Item]:
        while True:
            item = Item(name=str(len(read)))
            read.append(item)
            yield item

    assert len(decide(InOrder(due()), {}, LIMITS, 0.0).chosen) == LIMITS.max_rows
    assert len(read) == LIMITS.max_rows + 1


def test_a_tenant_without_slots_is_left_out_and_the_others_fill_the_batch() -> None:
    passed = [Item(digest=str(number)) for number in range(LIMITS.max_passed + 10)]
    other = Item(tenant="globex", digest="0")
    assert len(chosen(*passed, Item(digest="0"), other)) == 3
    assert chosen(*passed, Item(digest="0"), other)[1] is other


def test_an_entry_to_be_tried_alone_shares_with_no_one() -> None:
    first, alone = Item(name="first"), Item(alone=True)
    assert chosen(first, alone, Item()) == [first]
    assert chosen(alone, first) == [alone]


items = st.builds(
    Item,
    digest=st.sampled_from("abcdef"),
    num_bytes=st.just(300),
    num_rows=st.integers(1, 4),
    cost=st.integers(1, 150),
    priority=st.integers(0, 1),
    deadline=st.none() | st.floats(0, 10),
    enqueued_at=st.floats(0, 5),
    abandoned=st.booleans(),
    alone=st.booleans(),
    name=st.uuids().map(str),
)


@pytest.mark.survival("E5")
@given(st.lists(items, max_size=30), st.sets(st.sampled_from("abcdef"), max_size=2))
def test_a_batch_never_passes_its_budgets(queue: list[Item], leased: set[str]) -> None:
    decision = decide(InOrder(queue), dict.fromkeys(leased, 300), LIMITS, now=5.0)
    batch = decision.chosen
    if len(batch) > 1:
        assert sum(item.cost for item in batch) <= LIMITS.max_tokens
        assert sum(item.num_rows for item in batch) <= LIMITS.max_rows
        assert not any(item.alone for item in batch)
    held = leased | {item.digest for item in batch}
    assert len(held) <= LIMITS.num_slots
    assert 300 * len(held) <= LIMITS.slot_bytes
    assert not any(item.abandoned or (item.deadline or 9e9) <= 5.0 for item in batch)
    assert not set(batch) & set(decision.dropped)
