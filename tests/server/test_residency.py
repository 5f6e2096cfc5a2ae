"""Which digests are loaded: once each, under a budget, with memory of what failed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import BadAdapter, EngineGone, OutOfMemory, WrongBase
from engine.port import Load, Unload
from engine.testing.fake_engine import FakeEngine
from server.dispatch import residency
from server.dispatch.residency import Residency, wait_until_alive
from tests.server.build import publish
from tests.server.dispatching import DispatchEnv


def loads(dispatch_env: DispatchEnv) -> list[str]:
    return [step.digest for step in dispatch_env.engine.steps if isinstance(step, Load)]


def unloads(dispatch_env: DispatchEnv) -> list[str]:
    return [step.digest for step in dispatch_env.engine.steps if isinstance(step, Unload)]


def with_clock(dispatch_env: DispatchEnv, host_bytes: int) -> tuple[Residency, list[float]]:
    now = [0.0]
    made = Residency(
        port=dispatch_env.engine,
        files=dispatch_env.registry.files,
        host_bytes=host_bytes,
        observer=dispatch_env.metrics,
        retry_after_s=30.0,
        clock=lambda: now[0],
    )
    return made, now


@pytest.mark.survival("E8")
async def test_many_callers_of_a_cold_adapter_share_one_load(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    version = dispatch_env.version()
    leases = await asyncio.gather(*(dispatch_env.residency.acquire(version) for _ in range(20)))
    assert loads(dispatch_env) == [version.digest]
    for lease in leases:
        lease.release()
    assert dispatch_env.residency.num_leases == 0


@pytest.mark.survival("E8")
async def test_a_caller_who_hangs_up_does_not_stop_the_load_for_others(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    version = dispatch_env.version()
    first = asyncio.create_task(dispatch_env.residency.acquire(version))
    second = asyncio.create_task(dispatch_env.residency.acquire(version))
    await asyncio.sleep(0)
    first.cancel()
    (await second).release()
    assert loads(dispatch_env) == [version.digest]


@pytest.mark.survival("A13")
async def test_a_version_made_for_another_base_is_refused(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    version = dispatch_env.version()
    base = {"fingerprint": "e" * 64, "name": "other"}
    foreign = replace(version, manifest=replace(version.manifest, base=base))
    with pytest.raises(WrongBase, match=r"other \(eeeeeeeeeeee\).*fake \(ffffffffffff\)"):
        await dispatch_env.residency.acquire(foreign)
    assert loads(dispatch_env) == []


@pytest.mark.survival("D7")
async def test_tenants_of_one_digest_never_read_each_others_names(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    first = publish(dispatch_env.registry, "secret-merger", tenant="acme")
    second = publish(dispatch_env.registry, "mood", tenant="globex")
    assert first.digest == second.digest
    base = {"fingerprint": "e" * 64, "name": "other"}
    for version in (first, second):
        foreign = replace(version, manifest=replace(version.manifest, base=base))
        with pytest.raises(WrongBase) as refused:
            await dispatch_env.residency.acquire(foreign)
    assert "secret-merger" not in str(refused.value)


async def test_a_caller_waits_for_an_engine_that_is_being_brought_back(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    version = dispatch_env.version()
    dispatch_env.engine.inner.down = True
    waiting = asyncio.create_task(dispatch_env.residency.acquire(version))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    dispatch_env.engine.inner.down = False
    (await waiting).release()
    assert len(loads(dispatch_env)) == 1


async def test_an_engine_that_stays_away_is_not_waited_for_for_ever() -> None:
    with pytest.raises(EngineGone):
        await wait_until_alive(FakeEngine(down=True), within_s=0.1)


@pytest.mark.survival("E9")
async def test_the_least_recently_used_adapter_makes_room(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    versions = [dispatch_env.version(f"t{i}", i) for i in range(3)]
    budget = 2 * versions[0].num_bytes
    held, now = with_clock(dispatch_env, host_bytes=budget)
    for version in versions[:2]:
        (await held.acquire(version)).release()
        now[0] += 10
    (await held.acquire(versions[0])).release()
    (await held.acquire(versions[2])).release()
    assert unloads(dispatch_env) == [versions[1].digest]
    assert held.num_bytes <= budget


@pytest.mark.survival("E3")
async def test_a_leased_adapter_is_never_unloaded(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    held, now = with_clock(dispatch_env, host_bytes=1)
    lease = await held.acquire(dispatch_env.version("a", 1))
    now[0] += 10
    (await held.acquire(dispatch_env.version("b", 2))).release()
    assert unloads(dispatch_env) == []
    now[0] += 10
    lease.release()
    assert len(unloads(dispatch_env)) == 2


@pytest.mark.survival("E7")
async def test_an_adapter_that_cannot_be_loaded_is_not_tried_again_for_a_while(
    tmp_path: Path,
) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    held, now = with_clock(dispatch_env, host_bytes=2**20)
    version = dispatch_env.version()
    dispatch_env.engine.inner.broken[Load] = BadAdapter("it holds nonsense")
    for _ in range(3):
        with pytest.raises(BadAdapter, match="nonsense"):
            await held.acquire(version)
    assert len(loads(dispatch_env)) == 1
    dispatch_env.engine.inner.broken.clear()
    now[0] += 31
    (await held.acquire(version)).release()


@pytest.mark.survival("E7")
async def test_a_failed_load_leaves_other_adapters_alone(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    bad, good = dispatch_env.version("bad", 1), dispatch_env.version("good", 2)
    blob = dispatch_env.registry.files(bad)[0][1]
    blob.unlink()
    with pytest.raises(Exception, match=r"gone|missing|no longer"):
        await dispatch_env.residency.acquire(bad)
    (await dispatch_env.residency.acquire(good)).release()


@pytest.mark.survival("E7")
async def test_the_death_of_the_engine_is_not_held_against_an_adapter(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    version = dispatch_env.version()
    dispatch_env.engine.inner.broken[Load] = EngineGone()
    with pytest.raises(EngineGone):
        await dispatch_env.residency.acquire(version)
    dispatch_env.engine.inner.broken.clear()
    (await dispatch_env.residency.acquire(version)).release()


async def test_a_full_engine_is_emptied_and_asked_once_more(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    held, now = with_clock(dispatch_env, host_bytes=2**20)
    (await held.acquire(dispatch_env.version("a", 1))).release()
    now[0] += 10
    dispatch_env.engine.inner.broken[Load] = OutOfMemory()
    with pytest.raises(OutOfMemory):
        await held.acquire(dispatch_env.version("b", 2))
    assert len(unloads(dispatch_env)) == 1
    dispatch_env.engine.inner.broken.clear()
    (await held.acquire(dispatch_env.version("b", 2))).release()


async def test_everything_is_loaded_again_into_a_fresh_engine(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    version = dispatch_env.version()
    (await dispatch_env.residency.acquire(version)).release()
    dispatch_env.engine.inner.die()
    assert dispatch_env.residency.lease(version.digest) is None
    (await dispatch_env.residency.acquire(version)).release()
    assert len(loads(dispatch_env)) == 2


async def test_a_lease_is_given_back_once_however_often_it_is_released(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    lease = await dispatch_env.lease()
    lease.release()
    lease.release()
    assert dispatch_env.residency.num_leases == 0
    with pytest.raises(ValueError, match="released"):
        lease.duplicate()


async def test_an_adapter_stays_long_enough_for_its_first_caller(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    held, now = with_clock(dispatch_env, host_bytes=1)
    leases = await asyncio.gather(
        *(held.acquire(dispatch_env.version(f"t{i}", i)) for i in range(5))
    )
    assert len(leases) == 5
    now[0] += 2 * residency._FRESH_S
    for lease in leases:
        lease.release()
    assert held.num_resident == 0
