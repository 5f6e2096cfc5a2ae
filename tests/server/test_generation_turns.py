"""Who generates beside whom: a text that cannot start yet delays no other tenant, and starts."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from engine.port import Generate
from server.dispatch.entry import Entry, Lease
from server.dispatch.leases import BaseLease
from server.dispatch.request_queue import QueueLimits, RequestQueue
from tests.server.dispatching import entry
from tests.server.test_generation_loop import GenerationEnv, between


def text(
    env: GenerationEnv, length: int, tenant: str, lease: Lease | None, **changes: Any
) -> Entry:
    """A text that has waited long, unless `enqueued_at` says otherwise; None: of the bare base."""
    given: Any = lease.duplicate() if lease else BaseLease(generation=env.engine.generation)
    made = entry(given, [7] * length, **{"max_tokens": length, "tenant": tenant} | changes)
    env.loop.admit([made])
    return made


async def finish(*texts: Entry) -> None:
    async with asyncio.timeout(5):
        await asyncio.gather(*(each.future for each in texts))


def lengths_in_order(env: GenerationEnv) -> list[int]:
    return [length for step in env.started_prompts() for length in step]


@pytest.mark.survival("H1", "E6")
async def test_a_text_that_waits_for_a_slot_stops_no_other_tenant(tmp_path: Path) -> None:
    env = GenerationEnv(tmp_path)
    env.with_limits(max_adapters=1)
    leases = [await env.draft(seed=seed) for seed in range(2)]
    first = text(env, 90, "acme", leases[0])
    await env.decoding()
    waiting = text(env, 5, "globex", leases[1])
    other = text(env, 6, "initech", None)
    await finish(other)
    assert not first.future.done()
    assert not waiting.running
    await finish(first, waiting)
    assert lengths_in_order(env) == [90, 6, 5]


@pytest.mark.survival("E6")
async def test_an_adapter_starts_beside_a_stream_of_texts_of_another(tmp_path: Path) -> None:
    env = GenerationEnv(tmp_path)
    env.with_limits(max_adapters=1, max_rows=3)
    hot, cold = await env.draft(), await env.draft(seed=1)
    stream = [text(env, 10 + number % 3, "hot", hot) for number in range(20)]
    waiting = text(env, 5, "cold", cold)
    await finish(*stream, waiting)
    assert lengths_in_order(env).index(5) <= 4


async def test_a_prompt_that_finds_no_blocks_yet_stops_no_other_tenant(tmp_path: Path) -> None:
    env = GenerationEnv(tmp_path)
    env.with_limits(num_blocks=20, block_tokens=4, max_tokens=100)
    lease = await env.draft()
    first = text(env, 30, "acme", lease)
    await env.decoding()
    large = text(env, 60, "globex", lease, enqueued_at=time.monotonic() + 60)
    await finish(text(env, 5, "initech", lease))
    assert not first.future.done()
    await finish(first, large)
    assert lengths_in_order(env) == [30, 5, 60]


@pytest.mark.survival("E6")
async def test_a_large_prompt_starts_beside_a_stream_of_small_ones(tmp_path: Path) -> None:
    env = GenerationEnv(tmp_path)
    env.with_limits(num_blocks=20, block_tokens=4, max_tokens=100)
    lease = await env.draft()
    stream = [text(env, 8 + number % 3, "small", lease) for number in range(30)]
    await env.decoding()
    large = text(env, 60, "large", lease)
    await finish(*stream, large)
    assert lengths_in_order(env).index(60) <= 10


@pytest.mark.survival("H1")
async def test_a_large_call_leaves_room_for_a_text_of_another_tenant(tmp_path: Path) -> None:
    env = GenerationEnv(tmp_path)
    env.waiting = RequestQueue(QueueLimits(max_rows=500, max_tokens=5000, slot_bytes=2**20))
    env.with_limits(max_rows=32, num_blocks=0, max_writing_tokens=10_000, max_tokens=1000)
    lease = await env.draft()
    large = [text(env, 20, "heavy", lease) for _ in range(40)]
    await env.decoding()
    light = text(env, 3, "light", lease)
    await finish(light)
    assert not any(each.future.done() for each in large)
    await finish(*large)


async def test_the_tenant_that_runs_most_is_the_first_to_be_preempted(tmp_path: Path) -> None:
    env = GenerationEnv(tmp_path)
    env.engine.holds = (Generate,)
    lease, now = await env.draft(), time.monotonic()
    texts = [text(env, 4, "heavy", lease, enqueued_at=now + n / 1e3) for n in range(3)]
    texts.append(text(env, 4, "light", lease, enqueued_at=now + 1))
    await between(lambda: bool(env.engine.held))
    order = [sequence.entry.tenant for sequence in env.loop.sequences]
    assert order == ["heavy", "light", "heavy", "heavy"]
    assert Counter(order) == Counter(each.tenant for each in texts)
    env.engine.holds = ()
    env.engine.release_all()
    await finish(*texts)


async def test_a_text_that_is_refused_is_told_how_long_texts_take_and_not_prompts(
    tmp_path: Path,
) -> None:
    """A step takes a second here: a text of twenty tokens is read in one and written in twenty."""
    env = GenerationEnv(tmp_path)
    env.clock = lambda: float(len(env.writes))
    env.with_limits(max_rows=1)
    lease = await env.draft()
    texts = [text(env, 20, "acme", lease) for _ in range(8)]
    await finish(*texts)
    assert env.waiting.tokens_per_s < 5
