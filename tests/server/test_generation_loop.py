"""The generation loop over a fake engine: what starts when, and what remains after a fault."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from engine.errors import EngineGone, OutOfMemory
from engine.port import Failure, FreeSequences, Generate, SequenceOutput
from engine.testing.fake_engine import FakeEngine
from server.dispatch.entry import Answer, Entry
from server.dispatch.generation_budget import GenerationLimits
from server.dispatch.generation_loop import GenerationLoop
from server.dispatch.request_queue import QueueLimits, RequestQueue
from server.dispatch.residency import ResidentLease
from server.dispatch.token_budget import TokenBudget
from server.errors import DeadlinePassed, Stale
from server.metrics.generation_metrics import GenerationMetrics
from server.metrics.metrics import Metrics
from tests.server.build import publish
from tests.server.dispatching import DispatchEnv, entry

LIMITS: dict[str, Any] = {
    "max_rows": 8, "num_blocks": 60, "block_tokens": 16, "max_adapters": 4,
    "max_adapter_bytes": 2**20,
}  # fmt: skip
HEAD = {"kind": "generate", "format": "plain", "max_tokens": 200}


class Fragile(Metrics):
    """Metrics that can be broken, as by a fault of our own in the middle of a step."""

    is_broken = False

    def observe_batch(self, **numbers: int) -> None:
        if self.is_broken:
            raise ValueError("a bug")
        super().observe_batch(**numbers)


class GenerationEnv(DispatchEnv):
    """A generation loop beside the batcher, over the same engine and slots."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.series = CollectorRegistry()
        self.metrics: Fragile = Fragile(self.series)
        self.waiting = RequestQueue(QueueLimits(max_rows=50, max_tokens=5000, slot_bytes=2**20))
        self.loop = self.with_limits()

    def with_limits(self, max_tokens: int = 20, **changes: Any) -> GenerationLoop:
        self.loop = GenerationLoop(
            port=self.engine,
            residency=self.residency,
            queue=self.waiting,
            slots=self.slots,
            limits=GenerationLimits(**LIMITS | changes),
            budget=TokenBudget(max_tokens, target_s=None),
            observer=GenerationMetrics(CollectorRegistry(), self.metrics),
            batcher=self.batcher,
            clock=self.clock,
        )
        return self.loop

    async def draft(self, seed: int = 0) -> ResidentLease:
        version = publish(self.registry, "draft", seed=seed, head=HEAD)
        return await self.residency.acquire(version)

    def write(
        self, lease: ResidentLease, length: int, most: int = 5, **changes: Any
    ) -> asyncio.Task[Answer]:
        entry_ = entry(lease.duplicate(), [7] * length, **{"max_tokens": most} | changes)
        return asyncio.create_task(self.answer(entry_))

    async def answer(self, entry_: Entry) -> Answer:
        try:
            self.loop.admit([entry_])
            return await entry_.future
        finally:
            self.loop.abandon([entry_])

    @property
    def fake(self) -> FakeEngine:
        return self.engine.inner

    def started_prompts(self) -> list[list[int]]:
        """The lengths of the prompts of each step that started any."""
        return [[len(b.row.ids) for b in s.begin] for s in self.writes if s.begin]

    @property
    def writes(self) -> list[Generate]:
        return [step for step in self.fake.steps if isinstance(step, Generate)]

    async def decoding(self) -> None:
        await between(lambda: any(step.keys for step in self.writes))

    def assert_nothing_left(self) -> None:
        assert self.fake.writing.rows == {}
        assert self.loop.running_labels == set()
        assert self.slots.num_leases == 0
        assert not self.waiting


async def between(condition: Callable[[], bool]) -> None:
    """Stand right after the step that entry_ it true: the fake answers at once."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


# ---------------------------------------------------------------- faults


async def test_a_release_that_fails_stops_nobody_elses_text(tmp_path: Path) -> None:
    env = GenerationEnv(tmp_path)
    lease = await env.draft()
    leaving, staying = env.write(lease, 9, 9), env.write(lease, 8, 8)
    await env.decoding()
    env.fake.broken[FreeSequences] = EngineGone()
    leaving.cancel()
    async with asyncio.timeout(2):
        assert len((await staying).rows) == 1
    assert env.loop.running_labels == set()
    assert env.slots.num_leases == 0


class Faulty:
    """An output processor with a bug in one of its methods."""

    def __init__(self, method: str) -> None:
        self._method = method

    def on_tokens(self, output: SequenceOutput) -> bool:
        if self._method == "on_tokens":
            raise ValueError("a bug")
        return False

    def finish(self, result: SequenceOutput | Failure) -> None:
        if self._method == "finish":
            raise ValueError("a bug")


@pytest.mark.parametrize("method", ["on_tokens", "finish"])
async def test_output_that_cannot_be_processed_ends_its_own_sequence_alone(
    tmp_path: Path, method: str
) -> None:
    env = GenerationEnv(tmp_path)
    lease = await env.draft()
    failing = env.write(lease, 9, 9, output=Faulty(method))
    others = [env.write(lease, 8, 8), env.write(lease, 7, 7)]
    async with asyncio.timeout(2):
        with pytest.raises(ValueError, match="a bug"):
            await failing
        assert [len((await other).rows[0].ids) for other in others] == [8, 7]
    await between(lambda: not env.loop.sequences)
    lease.release()
    env.assert_nothing_left()


async def test_a_fault_of_our_own_ends_every_text_and_the_writer_writes_on_after_it(
    tmp_path: Path,
) -> None:
    env = GenerationEnv(tmp_path)
    env.with_limits(max_rows=1)
    lease = await env.draft()
    texts = [env.write(lease, 9, 200), env.write(lease, 8, 200)]
    await env.decoding()
    env.metrics.is_broken = True
    async with asyncio.timeout(2):
        for outcome in await asyncio.gather(*texts, return_exceptions=True):
            assert isinstance(outcome, EngineGone)
    env.assert_nothing_left()
    env.metrics.is_broken = False
    assert len((await env.write(lease, 3)).rows) == 1


async def test_who_was_seated_when_a_fault_came_keeps_no_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = GenerationEnv(tmp_path)
    leases = [await env.draft(), await env.draft(seed=1)]
    acquire, calls = env.slots.acquire, list[int]()

    def failing(*given: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("the books are wrong")
        return acquire(*given)

    monkeypatch.setattr(env.slots, "acquire", failing)
    texts = [env.write(lease, 5) for lease in leases]
    async with asyncio.timeout(2):
        for outcome in await asyncio.gather(*texts, return_exceptions=True):
            assert isinstance(outcome, EngineGone)
    env.assert_nothing_left()


async def test_the_share_of_the_cache_in_use_is_the_engine_s_figure(tmp_path: Path) -> None:
    env = GenerationEnv(tmp_path)
    env.with_limits(num_blocks=8, block_tokens=4)
    assert env.loop.share_held == 0
    text = env.write(await env.draft(), 5, 10)
    await env.decoding()
    await asyncio.sleep(0)
    assert env.loop.share_held == env.fake.writing.used_blocks / 8 > 0
    await text
    assert env.loop.share_held == 0


@pytest.mark.survival("E3")
async def test_a_text_with_a_lease_on_an_older_engine_starts_again_and_keeps_no_slot(
    tmp_path: Path,
) -> None:
    env = GenerationEnv(tmp_path)
    lease = await env.draft()
    env.fake.die()
    await env.write(await env.draft(seed=1), 3)
    with pytest.raises(Stale):
        await env.write(lease, 5)
    await between(lambda: not env.loop.sequences)
    env.assert_nothing_left()


@pytest.mark.survival("E3")
@pytest.mark.parametrize("began", [False, True])
async def test_texts_that_fail_leave_nothing_in_the_engine(tmp_path: Path, began: bool) -> None:
    env = GenerationEnv(tmp_path)
    lease = await env.draft()
    if not began:
        env.fake.broken[Generate] = OutOfMemory()
    text = env.write(lease, 9, 9)
    if began:
        await between(lambda: bool(env.started_prompts()))
        env.fake.broken[Generate] = OutOfMemory()
    with pytest.raises(OutOfMemory):
        await text
    released = {k for s in env.fake.steps if isinstance(s, FreeSequences) for k in s.keys}
    assert released == {begin.key for step in env.writes for begin in step.begin}
    env.assert_nothing_left()


# ---------------------------------------------------------------- limits


async def test_a_prompt_longer_than_a_batch_begins_while_others_write(tmp_path: Path) -> None:
    env = GenerationEnv(tmp_path)
    lease = await env.draft()
    short = env.write(lease, 9, 200)
    await env.decoding()
    long = env.write(lease, 50, 5)
    await between(lambda: len(env.started_prompts()) == 2)
    assert not short.done()
    assert env.started_prompts() == [[9], [50]]
    await asyncio.gather(short, long)
    env.assert_nothing_left()


async def test_prompts_that_begin_together_hold_no_more_tokens_than_a_batch(
    tmp_path: Path,
) -> None:
    env = GenerationEnv(tmp_path)
    lease = await env.draft()
    await asyncio.gather(*(env.write(lease, 9, 9) for _ in range(3)))
    assert env.started_prompts() == [[9, 9], [9]]


async def test_texts_begin_while_the_engine_has_blocks_for_what_they_hold(tmp_path: Path) -> None:
    env = GenerationEnv(tmp_path)
    env.with_limits(num_blocks=4, block_tokens=4)  # two for each prompt of five tokens
    lease = await env.draft()
    texts = [env.write(lease, 5, 10) for _ in range(3)]
    await env.decoding()
    assert env.started_prompts() == [[5, 5]]
    await asyncio.gather(*texts)
    assert env.started_prompts() == [[5, 5], [5]]


async def test_a_prompt_that_can_never_fit_holds_up_nobody(tmp_path: Path) -> None:
    env = GenerationEnv(tmp_path)
    env.with_limits(num_blocks=4, block_tokens=4)
    lease = await env.draft()
    first = env.write(lease, 5, 10)
    await env.decoding()
    never = env.write(lease, 40)
    await asyncio.gather(first, never)
    beside = [len(step.keys) for step in env.writes if step.begin]
    assert env.started_prompts() == [[5], [40]]
    assert beside == [0, 1]


async def test_without_blocks_texts_begin_while_there_is_room_for_all_they_may_write(
    tmp_path: Path,
) -> None:
    env = GenerationEnv(tmp_path)
    env.with_limits(num_blocks=0, max_writing_tokens=30)
    lease = await env.draft()
    texts = [env.write(lease, 5, 10) for _ in range(3)]
    await env.decoding()
    assert env.started_prompts() == [[5, 5]]
    await asyncio.gather(*texts)
    assert env.started_prompts() == [[5, 5], [5]]


async def test_one_text_alone_may_always_be_written(tmp_path: Path) -> None:
    env = GenerationEnv(tmp_path)
    env.with_limits(num_blocks=1, max_tokens=1, max_rows=1)
    lease = await env.draft()
    answers = await asyncio.gather(env.write(lease, 40, 100), env.write(lease, 41, 100))
    assert len(answers) == 2
    assert env.started_prompts() == [[40], [41]]
    env.assert_nothing_left()


# ---------------------------------------------------------------- rank


async def test_texts_go_on_by_priority_and_then_in_order_of_arrival(tmp_path: Path) -> None:
    env = GenerationEnv(tmp_path)
    lease, now = await env.draft(), time.monotonic()
    lengths = {}
    for length, priority in ((4, 1), (5, 0), (6, 1), (3, 0)):
        lengths[length] = env.write(
            lease, length, 9, priority=priority, enqueued_at=now + length / 1e3
        )
    await asyncio.gather(*lengths.values())
    keys = {begin.key: len(begin.row.ids) for step in env.writes for begin in step.begin}
    first = next(step for step in env.writes if step.keys)
    assert [keys[key] for key in first.keys] == [3, 5, 4, 6]


async def test_the_text_of_another_tenant_starts_before_the_rest_of_a_large_call(
    tmp_path: Path,
) -> None:
    env = GenerationEnv(tmp_path)
    env.with_limits(max_rows=1)
    lease = await env.draft()
    large = [entry(lease.duplicate(), [7] * 4, max_tokens=5, tenant="heavy") for _ in range(5)]
    env.loop.admit(large)
    await between(lambda: len(env.started_prompts()) >= 1)
    await env.write(lease, 3, tenant="light")
    assert env.started_prompts().index([3]) <= 2
    await asyncio.gather(*(each.future for each in large))
    env.assert_nothing_left()


async def test_generated_tokens_count_as_turns_of_their_tenant(tmp_path: Path) -> None:
    env = GenerationEnv(tmp_path)
    env.with_limits(max_rows=1)
    lease = await env.draft()
    # each long one is 40 tokens to read and 40 to write, each short one 3 and 1
    texts = [entry(lease.duplicate(), [7] * 40, max_tokens=100, tenant="long") for _ in range(2)]
    short = [entry(lease.duplicate(), [7] * 3, max_tokens=1, tenant="short") for _ in range(16)]
    for each in (*texts, *short):
        env.loop.admit([each])
    await asyncio.gather(*(each.future for each in (*texts, *short)))
    lengths = [length for step in env.started_prompts() for length in step]
    assert lengths == [40, *[3] * 16, 40]


async def test_prompts_of_a_step_are_as_long_as_the_measured_speed_allows(tmp_path: Path) -> None:
    env = GenerationEnv(tmp_path)
    env.loop = GenerationLoop(
        port=env.engine,
        residency=env.residency,
        queue=env.waiting,
        slots=env.slots,
        limits=GenerationLimits(**LIMITS),
        budget=(budget := TokenBudget(4000, target_s=0.25, tokens_per_s=2000)),
        observer=GenerationMetrics(CollectorRegistry(), env.metrics),
        batcher=env.batcher,
    )
    await env.write(await env.draft(), 300, most=2)
    assert env.writes[0].max_tokens == 500
    assert budget.tokens_per_s != 2000


@pytest.mark.parametrize("num_waiting", [10, 1000])
async def test_a_step_looks_at_as_many_texts_however_many_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_waiting: int
) -> None:
    env = GenerationEnv(tmp_path)
    env.waiting = RequestQueue(QueueLimits(max_rows=5000, max_tokens=50_000, slot_bytes=2**20))
    env.with_limits(max_rows=2, max_tokens=100)
    env.engine.holds = (Generate,)
    in_turn, looks = env.waiting.in_turn, list[Entry]()

    class Counted:
        def __init__(self, now: float) -> None:
            self._turns = in_turn(now)
            self.pass_over = self._turns.pass_over

        def __iter__(self) -> Iterator[Entry]:
            for each in self._turns:
                looks.append(each)
                yield each

    monkeypatch.setattr(env.waiting, "in_turn", Counted)
    lease = await env.draft()
    waiting = [entry(lease.duplicate(), [7], priority=i % 2) for i in range(num_waiting)]
    for each in waiting:
        each.max_tokens = 1
        env.loop.admit([each])
    await between(lambda: bool(env.engine.held))
    assert len(looks) <= 3
    env.loop.abandon(waiting)
    env.engine.release_all()
    await between(lambda: not env.loop.sequences)


@pytest.mark.survival("D1")
async def test_every_text_shares_what_it_reads_with_its_own_tenant_only(tmp_path: Path) -> None:
    env = GenerationEnv(tmp_path)
    lease = await env.draft()
    await env.write(lease, 5, most=3, tenant="acme")
    assert [begin.salt for step in env.writes for begin in step.begin] == ["acme"]


# ---------------------------------------------------------------- slots


@pytest.mark.survival("E6")
async def test_a_text_needs_no_slot_of_a_batch_that_still_runs(tmp_path: Path) -> None:
    """The engine runs the batch first, and the text keeps the slot from its own first step on."""
    env = GenerationEnv(tmp_path)
    running = await env.calls(*[await env.lease(seed=seed) for seed in range(4)])  # four slots
    async with asyncio.timeout(1):
        assert len((await env.write(await env.draft(), 5)).rows) == 1
    env.engine.release_all()
    await asyncio.gather(*running)
    env.assert_nothing_left()


async def test_batches_go_on_beside_texts_in_the_slots_that_these_leave(tmp_path: Path) -> None:
    env = GenerationEnv(tmp_path)
    env.with_limits(max_adapters=3)
    env.engine.holds = (Generate,)
    drafts = [await env.draft(seed) for seed in range(3)]
    texts = [env.write(draft, 5, 1) for draft in drafts]
    await between(lambda: bool(env.engine.held))
    assert set(env.slots.leased) == {draft.digest for draft in drafts}
    held = set(env.slots.leased)
    for seed in range(4):
        await env.call(await env.lease(seed=seed))
        assert held <= set(env.slots.placed.values())
    env.engine.release_all()
    await asyncio.gather(*texts)
    env.assert_nothing_left()


async def test_texts_leave_half_of_the_bytes_of_slots_to_batches(tmp_path: Path) -> None:
    env = GenerationEnv(tmp_path)
    leases = [await env.draft(seed) for seed in range(2)]
    env.with_limits(max_adapter_bytes=leases[0].num_bytes)
    await asyncio.gather(*(env.write(lease, 5) for lease in leases))
    assert env.started_prompts() == [[5], [5]]


async def test_a_text_whose_deadline_passes_is_answered_and_released_within_a_step(
    tmp_path: Path,
) -> None:
    env = GenerationEnv(tmp_path)
    lease = await env.draft()
    entry_ = env.write(lease, 100, 200)
    await env.decoding()
    env.loop.sequences[0].entry.deadline = 0.0
    num_steps = len(env.writes)
    (row,) = (await entry_).rows
    assert isinstance(row, SequenceOutput)
    assert row.finish == "length"
    assert 0 < len(row.ids) < 100
    assert len(env.writes) <= num_steps + 1
    env.assert_nothing_left()


async def test_a_text_that_was_cut_is_written_no_further(tmp_path: Path) -> None:
    env = GenerationEnv(tmp_path)
    entry_ = entry((await env.draft()).duplicate(), [7] * 100, max_tokens=200)
    answering = asyncio.create_task(env.answer(entry_))
    assert not env.loop.cut([entry_])
    await env.decoding()
    num_steps = len(env.writes)
    assert env.loop.cut([entry_])
    (row,) = (await answering).rows
    assert isinstance(row, SequenceOutput)
    assert row.finish == "length"
    await between(lambda: not env.loop.sequences)
    assert len(env.writes) <= num_steps + 1
    env.assert_nothing_left()


async def test_a_text_that_never_began_before_its_deadline_is_an_error(tmp_path: Path) -> None:
    env = GenerationEnv(tmp_path)
    with pytest.raises(DeadlinePassed):
        await env.write(await env.draft(), 5, deadline=0.0)


# ---------------------------------------------------------------- metrics


async def test_the_metrics_hear_of_waiting_placing_and_swapping(tmp_path: Path) -> None:
    env = GenerationEnv(tmp_path)
    for seed in range(5):  # there are four slots
        await env.write(await env.draft(seed), 3)
    text = generate_latest(env.series).decode()
    assert 'adapterd_adapter_loads_total{tier="slot"} 5.0' in text
    assert "adapterd_swaps_total 1.0" in text
    assert "adapterd_queue_seconds_count 5.0" in text
