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
from server.dispatch.engine_wait import until_alive
from server.dispatch.residency import Residency
from tests.server.build import publish
from tests.server.dispatching import Bench


def loads(bench: Bench) -> list[str]:
    return [step.digest for step in bench.engine.steps if isinstance(step, Load)]


def unloads(bench: Bench) -> list[str]:
    return [step.digest for step in bench.engine.steps if isinstance(step, Unload)]


def with_clock(bench: Bench, host_bytes: int) -> tuple[Residency, list[float]]:
    now = [0.0]
    made = Residency(
        port=bench.engine,
        files=bench.registry.files,
        host_bytes=host_bytes,
        observer=bench.metrics,
        retry_after_s=30.0,
        clock=lambda: now[0],
    )
    return made, now


@pytest.mark.survival("E8")
async def test_many_callers_of_a_cold_adapter_share_one_load(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    version = bench.version()
    leases = await asyncio.gather(*(bench.residency.acquire(version) for _ in range(20)))
    assert loads(bench) == [version.digest]
    for lease in leases:
        lease.release()
    assert bench.residency.num_leases == 0


@pytest.mark.survival("E8")
async def test_a_caller_who_hangs_up_does_not_stop_the_load_for_others(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    version = bench.version()
    first = asyncio.create_task(bench.residency.acquire(version))
    second = asyncio.create_task(bench.residency.acquire(version))
    await asyncio.sleep(0)
    first.cancel()
    (await second).release()
    assert loads(bench) == [version.digest]


@pytest.mark.survival("A13")
async def test_a_version_made_for_another_base_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    version = bench.version()
    base = {"fingerprint": "e" * 64, "name": "other"}
    foreign = replace(version, manifest=replace(version.manifest, base=base))
    with pytest.raises(WrongBase, match=r"eeeeeeeeeeee.*ffffffffffff"):
        await bench.residency.acquire(foreign)
    assert loads(bench) == []


@pytest.mark.survival("D7")
async def test_tenants_of_one_digest_never_read_each_others_names(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    first = publish(bench.registry, "secret-merger", tenant="acme")
    second = publish(bench.registry, "mood", tenant="globex")
    assert first.digest == second.digest
    base = {"fingerprint": "e" * 64, "name": "other"}
    for version in (first, second):
        foreign = replace(version, manifest=replace(version.manifest, base=base))
        with pytest.raises(WrongBase) as refused:
            await bench.residency.acquire(foreign)
    assert "secret-merger" not in str(refused.value)


async def test_a_caller_waits_for_an_engine_that_is_being_brought_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    version = bench.version()
    bench.engine.inner.down = True
    waiting = asyncio.create_task(bench.residency.acquire(version))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    bench.engine.inner.down = False
    (await waiting).release()
    assert len(loads(bench)) == 1


async def test_an_engine_that_stays_away_is_not_waited_for_for_ever() -> None:
    with pytest.raises(EngineGone):
        await until_alive(FakeEngine(down=True), within_s=0.1)


@pytest.mark.survival("E9")
async def test_the_least_recently_used_adapter_makes_room(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    versions = [bench.version(f"t{i}", i) for i in range(3)]
    budget = 2 * versions[0].num_bytes
    held, now = with_clock(bench, host_bytes=budget)
    for version in versions[:2]:
        (await held.acquire(version)).release()
        now[0] += 10
    (await held.acquire(versions[0])).release()
    (await held.acquire(versions[2])).release()
    assert unloads(bench) == [versions[1].digest]
    assert held.num_bytes <= budget


@pytest.mark.survival("E3")
async def test_a_leased_adapter_is_never_unloaded(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    held, now = with_clock(bench, host_bytes=1)
    lease = await held.acquire(bench.version("a", 1))
    now[0] += 10
    (await held.acquire(bench.version("b", 2))).release()
    assert unloads(bench) == []
    now[0] += 10
    lease.release()
    assert len(unloads(bench)) == 2


@pytest.mark.survival("E7")
async def test_an_adapter_that_cannot_be_loaded_is_not_tried_again_for_a_while(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path)
    held, now = with_clock(bench, host_bytes=2**20)
    version = bench.version()
    bench.engine.inner.broken[Load] = BadAdapter("it holds nonsense")
    for _ in range(3):
        with pytest.raises(BadAdapter, match="nonsense"):
            await held.acquire(version)
    assert len(loads(bench)) == 1
    bench.engine.inner.broken.clear()
    now[0] += 31
    (await held.acquire(version)).release()


@pytest.mark.survival("E7")
async def test_a_failed_load_leaves_other_adapters_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bad, good = bench.version("bad", 1), bench.version("good", 2)
    blob = bench.registry.files(bad)[0][1]
    blob.unlink()
    with pytest.raises(Exception, match=r"gone|missing|no longer"):
        await bench.residency.acquire(bad)
    (await bench.residency.acquire(good)).release()


@pytest.mark.survival("E7")
async def test_the_death_of_the_engine_is_not_held_against_an_adapter(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    version = bench.version()
    bench.engine.inner.broken[Load] = EngineGone()
    with pytest.raises(EngineGone):
        await bench.residency.acquire(version)
    bench.engine.inner.broken.clear()
    (await bench.residency.acquire(version)).release()


async def test_a_full_engine_is_emptied_and_asked_once_more(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    held, now = with_clock(bench, host_bytes=2**20)
    (await held.acquire(bench.version("a", 1))).release()
    now[0] += 10
    bench.engine.inner.broken[Load] = OutOfMemory()
    with pytest.raises(OutOfMemory):
        await held.acquire(bench.version("b", 2))
    assert len(unloads(bench)) == 1
    bench.engine.inner.broken.clear()
    (await held.acquire(bench.version("b", 2))).release()


async def test_everything_is_loaded_again_into_a_fresh_engine(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    version = bench.version()
    (await bench.residency.acquire(version)).release()
    bench.engine.inner.die()
    assert bench.residency.lease(version.digest) is None
    (await bench.residency.acquire(version)).release()
    assert len(loads(bench)) == 2


async def test_a_lease_is_given_back_once_however_often_it_is_released(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    lease = await bench.lease()
    lease.release()
    lease.release()
    assert bench.residency.num_leases == 0
    with pytest.raises(ValueError, match="released"):
        lease.again()


async def test_an_adapter_stays_long_enough_for_its_first_caller(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    held, now = with_clock(bench, host_bytes=1)
    leases = await asyncio.gather(*(held.acquire(bench.version(f"t{i}", i)) for i in range(5)))
    assert len(leases) == 5
    now[0] += 2 * residency._FRESH_S
    for lease in leases:
        lease.release()
    assert held.num_resident == 0
