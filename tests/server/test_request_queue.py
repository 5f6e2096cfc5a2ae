"""The room of the queue: who may wait, who is refused, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from server.dispatch.entry import Entry
from server.dispatch.leases import BaseLease
from server.dispatch.request_queue import QueueLimits, RequestQueue
from server.errors import Overloaded
from tests.server.dispatching import entry


def queue_for(num_rows: int, weights: Mapping[str, float] | None = None) -> RequestQueue:
    return RequestQueue(
        QueueLimits(
            max_rows=num_rows, max_tokens=10 * num_rows, slot_bytes=1, weights=weights or {}
        )
    )


def call(tenant: str, num_rows: int = 1) -> list[Entry]:
    lease: Any = BaseLease(generation=1)
    return [entry(lease, *[[1]] * num_rows, tenant=tenant)]


def fill(queue: RequestQueue, tenant: str) -> int:
    """How many calls of one row are admitted until one is refused."""
    for number in range(10_000):
        try:
            queue.admit(call(tenant))
        except Overloaded:
            return number
    raise AssertionError("the queue has no end")


@pytest.mark.survival("H1")
async def test_a_tenant_that_filled_its_share_refuses_only_itself() -> None:
    queue = queue_for(900)
    assert fill(queue, "heavy") == 800
    with pytest.raises(Overloaded):
        queue.check("heavy", 1)
    queue.check("light", 1)
    queue.admit(call("light"))
    queue.admit(call("light", 50))


async def test_the_more_others_hold_the_less_a_tenant_may() -> None:
    queue = queue_for(900)
    first, second = fill(queue, "acme"), fill(queue, "globex")
    assert first > second > 50


async def test_a_tenant_of_twice_the_weight_may_hold_twice_as_much_beside_others() -> None:
    held = {}
    for weight in (1.0, 2.0):
        queue = queue_for(900, {"acme": weight})
        queue.admit(call("globex", 800))
        held[weight] = fill(queue, "acme")
    assert held[2.0] > held[1.0]


@pytest.mark.survival("H1")
async def test_a_tenant_of_which_nothing_waits_is_always_admitted() -> None:
    queue = queue_for(10)
    queue.admit(call("heavy", 10))
    queue.admit(call("light", 30))
    with pytest.raises(Overloaded):
        queue.admit(call("light"))


@pytest.mark.survival("H1")
async def test_a_small_part_of_the_room_is_a_tenant_s_own_whatever_others_hold() -> None:
    queue = queue_for(8192)
    queue.admit(call("heavy", 7296))
    queue.admit(call("other", 1024))
    assert fill(queue, "light") == 8192 // 64


@pytest.mark.survival("H1")
async def test_first_calls_of_many_tenants_fill_no_more_than_twice_the_room() -> None:
    queue, refused = queue_for(8192), list[Overloaded]()
    queue.admit(call("heavy", 7296))
    for number in range(20):
        try:
            queue.admit(call(f"tenant-{number}", 1024))
        except Overloaded as error:
            refused.append(error)
    assert 8192 < queue.num_rows <= 2 * 8192
    assert len(refused) == 12
    assert "0 rows (0 tokens) of tenant tenant-8 and 15,488 rows of others" in str(refused[0])
    assert refused[0].retry_after_s > 1


@pytest.mark.survival("H1")
async def test_no_weight_is_so_large_that_nothing_stays_free() -> None:
    queue = queue_for(1700, {"acme": 1000.0})
    assert fill(queue, "acme") == 1600


async def test_a_refusal_counts_one_row_as_one() -> None:
    queue = queue_for(1)
    queue.admit(call("acme"))
    with pytest.raises(Overloaded, match=r"^1 row \(1 token\) of tenant acme and 0 rows of others"):
        queue.admit(call("acme"))


async def test_a_refusal_weighs_only_tenants_that_wait_now() -> None:
    queue = queue_for(100, {"globex": 3.0})
    queue.tokens_per_s = 10.0
    gone = [call("globex", 5), call("globex", 5)]
    for each in gone:
        queue.admit(each)
    queue.take(gone[0])
    queue.leave(gone[1][0], None)
    queue.admit(call("other", 5))
    queue.admit(call("acme", 80))
    with pytest.raises(Overloaded) as refused:
        queue.admit(call("acme", 20))
    assert refused.value.retry_after_s == pytest.approx(80 / 5.0)


async def test_who_is_refused_is_told_of_its_own_rows_and_its_own_speed() -> None:
    queue = queue_for(100)
    queue.tokens_per_s = 10.0
    queue.admit(call("other", 40))
    queue.admit(call("acme", 50))
    with pytest.raises(
        Overloaded, match=r"50 rows \(50 tokens\) of tenant acme and 40 rows of others"
    ) as refused:
        queue.admit(call("acme", 20))
    assert refused.value.retry_after_s == pytest.approx(50 / 5.0)


async def test_refusals_are_counted_by_tenant() -> None:
    refused: list[str] = []
    limits = QueueLimits(max_rows=1, max_tokens=10, slot_bytes=1)
    queue = RequestQueue(limits, refused.append)
    assert fill(queue, "acme") == 1
    assert refused == ["acme"]


async def test_what_waits_is_counted_by_tenant_until_it_leaves() -> None:
    queue = queue_for(100)
    [first], [second] = call("acme", 3), call("globex", 2)
    queue.admit([first])
    queue.admit([second])
    assert queue.tokens_by_tenant == {"acme": 3, "globex": 2}
    queue.take([first])
    queue.leave(second, None)
    assert (queue.tokens_by_tenant, queue.num_rows, bool(queue)) == ({}, 0, False)


async def test_an_entry_leaves_once_even_if_it_runs() -> None:
    queue = queue_for(100)
    [taken] = call("acme")
    queue.admit([taken])
    queue.take([taken])
    queue.leave(taken, None)
    queue.leave(taken, None)
    assert (queue.num_rows, queue.num_tokens) == (0, 0)
