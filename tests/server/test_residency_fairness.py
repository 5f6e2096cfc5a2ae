"""No tenant keeps the others' adapters out of memory, nor their loads from starting."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from adapters_registry.values import Version
from engine.errors import EngineGone, OutOfMemory
from engine.port import Load, Result, Unload
from server.dispatch.load_turns import LoadTurns
from server.dispatch.residency import Residency
from server.errors import Overloaded
from tests.server.build import publish
from tests.server.dispatching import DispatchEnv, settled

#: what the fake engine says that each takes
LOADED_BYTES = 2048


def versions_of(env: DispatchEnv, tenant: str, count: int) -> list[Version]:
    seed = 100 * len(tenant)
    made = (publish(env.registry, f"t{i}", tenant=tenant, seed=seed + i) for i in range(count))
    return [replace(version, num_bytes=LOADED_BYTES) for version in made]


def residency_of(env: DispatchEnv, host_bytes: int) -> Residency:
    files, observer = env.registry.files, env.metrics
    return Residency(port=env.engine, files=files, host_bytes=host_bytes, observer=observer)


def unloads(env: DispatchEnv) -> list[str]:
    return [step.digest for step in env.engine.steps if isinstance(step, Unload)]


@pytest.mark.survival("E9")
async def test_the_waiting_calls_of_one_tenant_leave_memory_for_another(tmp_path: Path) -> None:
    env = DispatchEnv(tmp_path)
    many, [other] = versions_of(env, "acme", 12), versions_of(env, "globex", 1)
    held = residency_of(env, host_bytes=10 * other.num_bytes)
    leases = [await held.acquire(version) for version in many[:8]]
    with pytest.raises(Overloaded, match="a tenant may use at most 8 times what is free"):
        await held.acquire(many[8])
    leases.append(await held.acquire(other))
    for lease in leases:
        lease.release()
    (await held.acquire(many[8])).release()


@pytest.mark.survival("E9")
async def test_adapters_that_are_loaded_already_count_once_a_call_uses_them(tmp_path: Path) -> None:
    env = DispatchEnv(tmp_path)
    many = versions_of(env, "acme", 10)
    held = residency_of(env, host_bytes=10 * many[0].num_bytes)
    for version in many:
        (await held.acquire(version)).release()
    leases = [await held.acquire(version) for version in many[:8]]
    with pytest.raises(Overloaded):
        held.lease(many[8])
    assert len(leases) == 8


async def test_what_cannot_fit_is_refused_before_anything_is_sent_or_unloaded(
    tmp_path: Path,
) -> None:
    env = DispatchEnv(tmp_path)
    idle, used, cold = (versions_of(env, tenant, 1)[0] for tenant in ("a", "bb", "ccc"))
    held = residency_of(env, host_bytes=2 * cold.num_bytes)
    (await held.acquire(idle)).release()
    lease = await held.acquire(used)
    large = replace(cold, num_bytes=2 * cold.num_bytes)
    sent = len(env.engine.steps)
    with pytest.raises(OutOfMemory, match="running and waiting calls use"):
        await held.acquire(large)
    assert len(env.engine.steps) == sent
    lease.release()


async def test_an_engine_that_is_full_costs_only_as_many_adapters_as_it_needs(
    tmp_path: Path,
) -> None:
    env = DispatchEnv(tmp_path)
    idle, [cold] = versions_of(env, "acme", 6), versions_of(env, "globex", 1)
    held = residency_of(env, host_bytes=2**20)
    for version in idle:
        (await held.acquire(version)).release()
    env.engine.inner.broken[Load] = OutOfMemory()
    with pytest.raises(OutOfMemory):
        await held.acquire(cold)
    assert unloads(env) == [version.digest for version in idle[:2]]


async def test_a_tenant_with_many_loads_delays_another_by_the_loads_in_progress_alone() -> None:
    turns, order = LoadTurns(at_once=1), list[str]()

    async def load(tenant: str) -> None:
        async with turns.turn(tenant):
            order.append(tenant)
            await asyncio.sleep(0)

    tenants = ["acme"] * 50 + ["globex", "globex"]
    await asyncio.gather(*(load(tenant) for tenant in tenants))
    assert order[:5] == ["acme", "acme", "globex", "acme", "globex"]
    assert len(order) == len(tenants)


async def test_loads_that_are_cancelled_or_fail_give_their_turns_on() -> None:
    turns, done = LoadTurns(at_once=1), list[str]()
    gate = asyncio.Event()

    async def load(name: str) -> None:
        async with turns.turn(name):
            await gate.wait()
            done.append(name)
            raise ValueError(name)

    loads = [asyncio.create_task(load(name)) for name in ("a", "b", "c", "d")]
    await settled()
    loads[1].cancel()
    loads[0].cancel()
    await settled()
    gate.set()
    await asyncio.gather(*loads, return_exceptions=True)
    assert done == ["c", "d"]


async def test_few_loads_are_in_the_engine_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = DispatchEnv(tmp_path)
    held, sent = residency_of(env, host_bytes=2**20), list[Future[Result]]()

    def hold(step: object) -> Future[Result]:
        sent.append(Future())
        return sent[-1]

    monkeypatch.setattr(env.engine, "submit", hold)
    calls = [asyncio.create_task(held.acquire(v)) for v in versions_of(env, "acme", 10)]
    while len(sent) < 4:  # noqa: ASYNC110 threads look for the files first
        await asyncio.sleep(0.001)
    await settled()
    assert len(sent) == 4
    for call in calls:
        call.cancel()
    for future in sent:
        future.set_exception(EngineGone())
    await settled()


async def test_an_adapter_that_was_deleted_during_a_call_is_unloaded_at_its_end(
    tmp_path: Path,
) -> None:
    env = DispatchEnv(tmp_path)
    lease = await env.lease()
    env.residency.discard(lease.digest)
    assert unloads(env) == []
    lease.release()
    assert unloads(env) == [lease.digest]
    assert env.residency.num_bytes == 0


async def test_an_engine_that_restarts_while_files_are_fetched_gets_no_load(tmp_path: Path) -> None:
    env = DispatchEnv(tmp_path)
    version = env.version()
    held = residency_of(env, host_bytes=2**20)

    def die_first(of: Version) -> object:
        env.engine.inner.die()
        return env.registry.files(of)

    held._files = die_first  # type: ignore[assignment]
    with pytest.raises(EngineGone):
        await held.acquire(version)
    assert not [step for step in env.engine.steps if isinstance(step, Load)]


async def test_a_lease_in_an_engine_that_is_gone_keeps_nothing_in_the_next(tmp_path: Path) -> None:
    env = DispatchEnv(tmp_path)
    version = env.version()
    old = await env.residency.acquire(version)
    env.engine.inner.die()
    (await env.residency.acquire(version)).release()
    old.duplicate()
    env.residency.discard(version.digest)
    assert unloads(env) == [version.digest]
