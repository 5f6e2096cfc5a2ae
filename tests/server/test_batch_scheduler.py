"""The scheduling decision, as the pure function it is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.dispatch.batch_scheduler import BatchLimits, decide

LIMITS = BatchLimits(max_tokens=100, max_rows=8, ahead_tokens=10, num_slots=2, slot_bytes=1000)


@dataclass(frozen=True, kw_only=True)
class Item:
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


def chosen(*queue: Item, now: float = 0.0, leased: dict[str, int] | None = None) -> list[Item]:
    return decide(queue, leased or {}, LIMITS, now).chosen


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
    decision = decide([expired, gone, live], {}, LIMITS, now=2.0)
    assert (decision.dropped, decision.chosen) == ([expired, gone], [live])


def test_interactive_entries_go_before_batch_entries() -> None:
    batch, interactive = Item(priority=1), Item(priority=0, name="now")
    assert chosen(batch, interactive) == [interactive, batch]


def test_a_batch_entry_that_waited_long_enough_keeps_its_place() -> None:
    batch, interactive = Item(priority=1, enqueued_at=0.0), Item(enqueued_at=1.4)
    assert chosen(batch, interactive, now=1.5) == [batch, interactive]


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
def test_an_entry_that_waited_too_long_for_a_slot_stops_the_younger_ones() -> None:
    cold, warm = Item(digest="cold"), Item(digest="a")
    assert chosen(cold, warm, leased={"a": 1, "b": 1}, now=0.2) == []


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
    decision = decide(queue, dict.fromkeys(leased, 300), LIMITS, now=5.0)
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


@given(st.lists(items, min_size=1, max_size=30))
def test_every_entry_is_chosen_after_as_many_batches_as_there_are_entries(
    queue: list[Item],
) -> None:
    """No starvation: with nothing else in flight the oldest makes progress at every decision."""
    waiting = [replace(item, deadline=None, abandoned=False, enqueued_at=0.0) for item in queue]
    for _ in range(len(queue)):
        done = decide(waiting, {}, LIMITS, now=100.0).chosen
        assert not waiting or waiting[0] in done
        waiting = [item for item in waiting if item not in done]
    assert waiting == []


@pytest.mark.survival("E6")
@given(st.lists(st.sampled_from("bcd"), max_size=40), st.integers(1, 3))
def test_a_cold_adapter_is_served_within_a_bound_beside_hot_ones(
    hot: list[str], pipeline: int
) -> None:
    """A stream of others, one batch running and one ahead, cannot keep the slots for ever."""
    cold = Item(digest="cold", name="cold")
    waiting = [cold]
    in_flight: list[list[Item]] = [[Item(digest="b")], [Item(digest="c")]]
    now = 0.0
    for step in range(12 + len(hot)):
        now += 0.05
        waiting.append(
            Item(digest=hot[step % len(hot)] if hot else "b", enqueued_at=now, name=str(step))
        )
        in_flight = in_flight[1:] if len(in_flight) > pipeline or step % 2 else in_flight
        leased = {item.digest: 1 for batch in in_flight for item in batch}
        batch = decide(waiting, leased, LIMITS, now).chosen
        waiting = [item for item in waiting if item not in batch]
        if batch:
            in_flight = [*in_flight, batch][-2:]
        if cold in batch:
            return
    raise AssertionError("the cold entry starved")
