"""Whose turn it is: shares of tenants, turns of calls, bands, and what looking costs."""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.dispatch.batch_scheduler import BatchLimits, decide
from server.dispatch.fair_queue import FairQueue
from server.dispatch.slots import SlotTable
from server.dispatch.tenant_queue import TenantQueue

LIMITS = BatchLimits(max_tokens=2048, max_rows=128, num_slots=1024, slot_bytes=2**29)
#: of an adapter of rank 8 at the queries and values of a small encoder
ADAPTER_BYTES = 297_992


@dataclass(eq=False, kw_only=True)
class Item:
    tenant: str = "acme"
    digest: str = ""
    num_bytes: int = 0
    num_rows: int = 1
    cost: int = 10
    priority: int = 0
    deadline: float | None = None
    enqueued_at: float = 0.0
    abandoned: bool = False
    alone: bool = False
    name: str = ""


def queue_of(*calls: Iterable[Item], weights: Mapping[str, float] | None = None) -> FairQueue[Item]:
    queue: FairQueue[Item] = FairQueue(weights=weights or {}, base_bytes=2**26)
    for call in calls:
        queue.add(list(call))
    return queue


def call(size: int, **changes: object) -> list[Item]:
    return [Item(name=f"{changes.get('tenant', '')}{i}", **changes) for i in range(size)]  # type: ignore[arg-type]


def batch(queue: FairQueue[Item], limits: BatchLimits = LIMITS, now: float = 0.0) -> list[Item]:
    """The next batch, taken out of the queue."""
    chosen = decide(queue.in_turn(now), {}, limits, now).chosen
    queue.take(chosen)
    return chosen


def drained(queue: FairQueue[Item], limits: BatchLimits = LIMITS) -> list[Item]:
    taken = []
    while chosen := batch(queue, limits):
        taken += chosen
    return taken


def jain(shares: Iterable[float]) -> float:
    """The index of fairness (Jain, Chiu, Hawe 1984): 1 if all get the same."""
    values = list(shares)
    return sum(values) ** 2 / (len(values) * sum(value**2 for value in values))


# ---------------------------------------------------------------- tenants


@pytest.mark.survival("H1")
@given(
    costs=st.lists(st.integers(1, 512), min_size=2, max_size=6),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=10, deadline=None)
def test_tenants_that_wait_all_the_time_get_the_same_tokens_whatever_their_rows(
    costs: list[int], seed: int
) -> None:
    """Each in calls of its own size, of rows of about its own length."""
    draw = random.Random(seed)
    queue, served = queue_of(), Counter[str]()
    waiting = Counter[str]()
    for _ in range(30):
        for tenant, cost in enumerate(costs):
            while waiting[str(tenant)] < 2 * LIMITS.max_tokens:
                rows = [
                    Item(tenant=str(tenant), cost=draw.randint(max(1, cost // 2), cost))
                    for _ in range(draw.randint(1, 20))
                ]
                queue.add(rows)
                waiting[str(tenant)] += sum(row.cost for row in rows)
        for row in batch(queue):
            served[row.tenant] += row.cost
            waiting[row.tenant] -= row.cost
    assert jain(served.values()) >= 0.95
    assert max(served.values()) - min(served.values()) <= 2 * 512


def test_weights_give_tokens_in_their_proportion() -> None:
    queue = queue_of(
        call(3000, tenant="acme", cost=30),
        call(3000, tenant="globex", cost=10),
        weights={"acme": 2.0},
    )
    served = Counter[str]()
    for _ in range(20):
        for row in batch(queue):
            served[row.tenant] += row.cost
    assert served["acme"] / served["globex"] == pytest.approx(2, rel=0.02)


def test_who_has_a_larger_adapter_gets_a_few_tokens_less() -> None:
    large = call(2000, tenant="acme", digest="large", num_bytes=2**24)
    queue = queue_of(large, call(2000, tenant="globex"))
    served = Counter(row.tenant for _ in range(10) for row in batch(queue))
    assert served["globex"] / served["acme"] == pytest.approx(1.25, rel=0.02)


@pytest.mark.survival("H1")
def test_a_light_tenant_is_in_the_next_batch_however_much_another_has_waiting() -> None:
    queue = queue_of(*(call(100, tenant="heavy") for _ in range(80)))
    for number in range(20):
        row = Item(tenant="light", name=str(number))
        queue.add([row])
        assert row in batch(queue)


def test_a_tenant_that_paused_starts_where_the_others_are() -> None:
    queue = queue_of(call(1000, tenant="acme"))
    for _ in range(5):
        batch(queue)
    queue.add(call(1000, tenant="globex"))
    served = Counter(row.tenant for _ in range(5) for row in batch(queue))
    assert abs(served["acme"] - served["globex"]) <= 1


def test_leaving_for_a_moment_does_not_make_up_for_what_a_tenant_got_more() -> None:
    queue = queue_of(call(400, tenant="patient"))
    served = Counter[str]()
    for _ in range(6):
        queue.add([Item(tenant="hasty", cost=900)])
        for row in batch(
            queue, BatchLimits(max_tokens=1000, max_rows=99, num_slots=1, slot_bytes=1)
        ):
            served[row.tenant] += row.cost
    assert abs(served["hasty"] - served["patient"]) <= 900


def test_generated_tokens_are_turns_of_their_tenant() -> None:
    queue = queue_of(call(100, tenant="acme"), call(100, tenant="globex"))
    queue.charge("acme", 300)
    assert {row.tenant for row in itertools.islice(queue.in_turn(0.0), 30)} == {"globex"}


def test_looking_at_turns_changes_nothing() -> None:
    queue = queue_of(call(50, tenant="acme"), call(50, tenant="globex"))
    assert list(queue.in_turn(0.0)) == list(queue.in_turn(0.0))
    assert queue.num_rows == 100


# ---------------------------------------------------------------- calls of one tenant


def test_a_call_that_comes_now_is_served_before_the_rest_of_a_large_one() -> None:
    large = call(1000, cost=20)
    queue = queue_of(large)
    batch(queue)
    small = Item(cost=20, name="small")
    queue.add([small])
    assert small in batch(queue)


def test_entries_of_one_call_keep_their_order() -> None:
    queue = queue_of(call(40, tenant="acme"), call(30, tenant="acme"), call(9, tenant="globex"))
    by_call = defaultdict(list)
    for row in drained(queue, BatchLimits(max_tokens=70, max_rows=9, num_slots=1, slot_bytes=1)):
        by_call[row.tenant].append(row.name)
    assert by_call["globex"] == [f"globex{i}" for i in range(9)]
    numbers = [int(name.removeprefix("acme")) for name in by_call["acme"]]
    assert sorted(numbers) == sorted([*range(40), *range(30)])
    # two interleaved ascending sequences: each number is one more than an earlier one
    last = Counter({-1: 2})
    for number in numbers:
        assert last[number - 1]
        last[number - 1] -= 1
        last[number] += 1


def test_the_rest_of_a_large_call_is_served_beside_a_stream_of_small_ones() -> None:
    large = call(8, cost=100)
    queue, left, num_batches = queue_of(large), set(large), 0
    limits = BatchLimits(max_tokens=100, max_rows=99, num_slots=1, slot_bytes=1)
    while left:
        queue.add(call(5, cost=20))
        left -= set(batch(queue, limits))
        num_batches += 1
    assert num_batches <= 100


def test_what_is_put_back_is_the_next_of_its_tenant() -> None:
    queue = queue_of(call(5), call(5))
    first = batch(queue, BatchLimits(max_tokens=40, max_rows=99, num_slots=1, slot_bytes=1))
    queue.put_back(first[-1])
    assert next(iter(queue.in_turn(0.0))) is first[-1]


def test_what_is_put_back_is_no_second_turn_of_its_tenant() -> None:
    queue = queue_of(call(40, tenant="acme"), call(40, tenant="globex"))
    limits = BatchLimits(max_tokens=200, max_rows=99, num_slots=1, slot_bytes=1)
    failed = [row for row in batch(queue, limits) if row.tenant == "acme"]
    for row in failed:
        queue.put_back(row)
    served = Counter(row.tenant for _ in range(3) for row in batch(queue, limits))
    assert served["acme"] == served["globex"] + len(failed)


# ---------------------------------------------------------------- bands


def test_interactive_entries_go_before_batch_entries() -> None:
    later, now = Item(priority=1), Item(priority=0)
    assert drained(queue_of([later], [now])) == [now, later]


def test_a_batch_entry_that_waited_long_enough_keeps_its_place() -> None:
    later, now = Item(priority=1, enqueued_at=0.0), Item(enqueued_at=1.4)
    assert list(queue_of([later], [now]).in_turn(1.5)) == [later, now]


def test_a_band_orders_only_the_work_of_its_own_tenant() -> None:
    queue = queue_of(call(100, tenant="acme", priority=1), call(100, tenant="globex"))
    served = Counter(row.tenant for row in itertools.islice(queue.in_turn(0.0), 40))
    assert served["acme"] == served["globex"]


# ---------------------------------------------------------------- no starvation

calls = st.lists(
    st.builds(
        lambda size, **changes: [Item(**changes) for _ in range(size)],
        st.integers(1, 5),
        tenant=st.sampled_from("xyz"),
        digest=st.sampled_from("abcdef"),
        num_bytes=st.sampled_from([100, 300, 900]),
        num_rows=st.integers(1, 4),
        cost=st.integers(1, 150),
        priority=st.integers(0, 1),
        alone=st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.survival("E6")
@given(calls)
@settings(deadline=None)
def test_every_entry_is_served_however_few_slots_there_are(waiting: list[list[Item]]) -> None:
    limits = BatchLimits(max_tokens=100, max_rows=8, num_slots=2, slot_bytes=1000)
    queue = queue_of(*waiting)
    assert set(drained(queue, limits)) == {item for each in waiting for item in each}
    assert (queue.num_rows, queue.num_tokens) == (0, 0)


@pytest.mark.survival("E6")
@given(st.lists(st.sampled_from("bcdef"), min_size=1, max_size=6), st.booleans())
@settings(deadline=None)
def test_a_large_adapter_is_served_beside_a_stream_of_small_ones(
    hot: list[str], same_tenant: bool
) -> None:
    limits = BatchLimits(max_tokens=100, max_rows=8, num_slots=2, slot_bytes=1000)
    cold = Item(digest="cold", num_bytes=1000, tenant="acme" if same_tenant else "globex")
    queue = queue_of([cold])
    for number in range(30):
        now = number * 0.05
        for name in itertools.islice(itertools.cycle(hot), 12):
            queue.add([Item(digest=name, num_bytes=100, enqueued_at=now)])
        if cold in batch(queue, limits, now):
            return
    raise AssertionError("the large adapter starved")


# ---------------------------------------------------------------- adapters without a slot


def mixed_batch(
    queue: FairQueue[Item], leased: Mapping[str, int], now: float = 0.0
) -> dict[str, int]:
    """The tokens of each tenant in the next batch, taken out of the queue."""
    limits = replace(LIMITS, max_rows=2048)
    chosen = decide(queue.in_turn(now), leased, limits, now).chosen
    queue.take(chosen)
    tokens = Counter[str]()
    for row in chosen:
        tokens[row.tenant] += row.cost
    return tokens


@pytest.mark.survival("H1")
def test_a_tenant_of_more_adapters_than_fit_leaves_the_batches_full() -> None:
    """Eight of its twenty large adapters fit, and its entries are many and short."""
    many = [
        Item(tenant="many", digest=str(i % 20), num_bytes=60 * 2**20, cost=3) for i in range(2000)
    ]
    queue = queue_of(many, call(2000, tenant="bare", cost=30))
    for now in (0.0, 0.05, 0.2):
        tokens = mixed_batch(queue, {}, now)
        assert tokens["many"] >= 8 * 3
        assert sum(tokens.values()) >= LIMITS.max_tokens - 30


@pytest.mark.survival("H1")
def test_a_tenant_whose_adapters_find_no_slot_beside_a_generation_stops_nobody() -> None:
    large = [
        Item(tenant="large", digest=str(i), num_bytes=300 * 2**20, cost=3) for i in range(2000)
    ]
    queue = queue_of(large, call(2000, tenant="bare", cost=30))
    for _ in range(5):
        tokens = mixed_batch(queue, {"generating": 300 * 2**20})
        assert tokens == {"bare": LIMITS.max_tokens // 30 * 30}


@pytest.mark.survival("H1")
def test_a_tenant_without_slots_saves_no_turns_for_itself_or_for_who_comes() -> None:
    large = call(3000, tenant="large", digest="large", num_bytes=300 * 2**20)
    queue = queue_of(large, call(9000, tenant="bare"))
    for _ in range(20):
        mixed_batch(queue, {"generating": 300 * 2**20})
    queue.add(call(3000, tenant="new"))
    tokens = Counter[str]()
    for _ in range(6):
        tokens.update(mixed_batch(queue, {}))
    assert tokens["bare"] >= LIMITS.max_tokens
    assert tokens["new"] == pytest.approx(2 * tokens["large"], rel=0.02)


def test_what_was_passed_over_is_no_turn_of_its_tenant() -> None:
    queue = queue_of(call(9, tenant="acme", cost=30), call(9, tenant="globex", cost=30))
    turns, tenants = queue.in_turn(0.0), list[str]()
    for entry in itertools.islice(turns, 6):
        tenants.append(entry.tenant)
        turns.pass_over(leave_out=len(tenants) == 5)
    assert tenants == [*["acme"] * 5, "globex"]


# ---------------------------------------------------------------- what it costs


class Counted(Item):
    """An item that counts how often its tokens are looked at."""

    looks = 0

    def __getattribute__(self, name: str) -> object:
        if name == "cost":
            Counted.looks += 1
        return super().__getattribute__(name)


@pytest.mark.parametrize("num_tenants", [1, 100, 10_000])
def test_a_batch_looks_at_as_many_entries_however_many_wait(num_tenants: int) -> None:
    looks = {}
    for size in (100, 10_000):
        queue = queue_of()
        for number in range(size):
            queue.add([Counted(tenant=str(number % num_tenants))])
        Counted.looks = 0
        chosen = batch(queue, BatchLimits(max_tokens=500, max_rows=99, num_slots=1, slot_bytes=1))
        queue.remove(next(iter(queue.in_turn(0.0))))
        queue.put_back(chosen[0])
        looks[size] = Counted.looks
    assert looks[10_000] <= looks[100] + 5


def test_a_batch_looks_at_as_many_tenants_however_many_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: Counter[int] = Counter()
    in_turn = TenantQueue.in_turn
    limits = BatchLimits(max_tokens=500, max_rows=99, num_slots=1, slot_bytes=1)
    for size in (100, 10_000):

        def counting(queue: TenantQueue[Item], now: float, size: int = size) -> Iterator[Item]:
            looks[size] += 1
            return in_turn(queue, now)

        monkeypatch.setattr(TenantQueue, "in_turn", counting)
        queue = queue_of(*(call(1, tenant=str(number)) for number in range(size)))
        batch(queue, limits)
    assert looks[10_000] == looks[100]


@pytest.mark.survival("C7")
def test_entries_that_leave_again_and_again_leave_nothing_behind() -> None:
    head = Item()
    queue = queue_of([head])
    for _ in range(1000):
        rows = call(3)
        queue.add(rows)
        for row in rows:
            queue.remove(row)
    tenant = queue.of("acme")
    assert tenant is not None
    assert sum(map(len, tenant._heaps.values())) < 50
    assert drained(queue) == [head]
    assert queue.of("acme") is None


# ---------------------------------------------------------------- many tasks


def rows_per_batch(num_tasks: int, exponent: float = 1.0, num_waiting: int = 512) -> float:
    """The mean over saturated batches, one of which always runs while the next is chosen."""
    draw, table = random.Random(1), SlotTable(LIMITS.num_slots, LIMITS.slot_bytes)
    weights = list(itertools.accumulate(1 / rank**exponent for rank in range(1, num_tasks + 1)))
    queue, running, sizes, now = queue_of(), deque[int](), [], 0.0
    while len(sizes) < 60:
        for task in draw.choices(
            range(num_tasks), cum_weights=weights, k=num_waiting - queue.num_rows
        ):
            queue.add([Item(digest=str(task), num_bytes=ADAPTER_BYTES, cost=20, enqueued_at=now)])
        chosen = decide(queue.in_turn(now), table.leased, LIMITS, now).chosen
        table.place({row.digest: row.num_bytes for row in chosen})
        queue.take(chosen)
        running.append(len(chosen))
        sizes.append(len(chosen))
        if len(running) > 1:
            now += 0.02 + 0.003 * running.popleft()
    return sum(sizes) / len(sizes)


def test_batches_are_as_full_with_ten_thousand_tasks_as_with_ten() -> None:
    assert rows_per_batch(10_000) >= 0.99 * rows_per_batch(10)
