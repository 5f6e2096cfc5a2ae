"""Which digests are loaded: once each, under a budget, with memory of what failed."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from adapters_registry.errors import BlobCorrupt, StorageUnavailable
from adapters_registry.values import Version
from engine.errors import BadAdapter, EngineGone, OutOfMemory, WrongBase, WrongContent
from engine.port import Load, Loaded, Result, Step, Unload
from engine.testing.fake_engine import FakeEngine
from server.dispatch import known_failures
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
    versions = [dispatch_env.version(f"t{i}", i) for i in range(3)]
    held, _ = with_clock(dispatch_env, host_bytes=5 * versions[0].num_bytes // 2)
    lease = await held.acquire(versions[0])
    for version in versions[1:]:
        (await held.acquire(version)).release()
    assert unloads(dispatch_env) == [versions[1].digest]
    lease.release()


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


@pytest.mark.survival("G4", "E7")
async def test_files_with_a_wrong_content_are_examined_and_loaded_once_more(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    version = dispatch_env.version()
    dispatch_env.engine.inner.broken[Load] = WrongContent()
    examined: list[Version] = []

    def mend(version: Version) -> bool:
        examined.append(version)
        dispatch_env.engine.inner.broken.clear()
        return True

    residency = Residency(
        port=dispatch_env.engine,
        files=dispatch_env.registry.files,
        examine=mend,
        host_bytes=2**20,
        observer=dispatch_env.metrics,
    )
    (await residency.acquire(version)).release()
    assert examined == [version]
    assert len(loads(dispatch_env)) == 2


@pytest.mark.survival("G4", "A21")
async def test_a_rotten_file_is_in_quarantine_after_one_call(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    version = dispatch_env.version()
    _, path, _ = dispatch_env.registry.files(version)[0]
    path.write_bytes(bytes(path.stat().st_size))
    residency = Residency(
        port=dispatch_env.engine,
        files=dispatch_env.registry.files,
        examine=dispatch_env.registry.examine,
        host_bytes=2**20,
        observer=dispatch_env.metrics,
    )
    with pytest.raises((BadAdapter, BlobCorrupt)):
        await residency.acquire(version)
    with pytest.raises(BlobCorrupt, match="in quarantine"):
        dispatch_env.registry.files(version)


@pytest.mark.survival("E7", "G5")
async def test_a_store_that_cannot_be_reached_is_asked_again_after_a_moment(
    tmp_path: Path,
) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    version = dispatch_env.version()
    now, asked_at = [0.0], list[float]()

    def fail(_: Version) -> list[tuple[str, Path, str]]:
        asked_at.append(now[0])
        raise StorageUnavailable

    residency = Residency(
        port=dispatch_env.engine,
        files=fail,
        host_bytes=2**20,
        observer=dispatch_env.metrics,
        clock=lambda: now[0],
    )
    for seconds in (0.0, 1.0, 2.5):
        now[0] = seconds
        with pytest.raises(StorageUnavailable):
            await residency.acquire(version)
    assert asked_at == [0.0, 2.5]


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
    assert dispatch_env.residency.lease(version) is None
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


async def test_an_adapter_larger_than_the_budget_stays_for_its_callers(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    held, _ = with_clock(dispatch_env, host_bytes=1)
    version = dispatch_env.version()
    leases = await asyncio.gather(*(held.acquire(version) for _ in range(5)))
    assert unloads(dispatch_env) == []
    for lease in leases:
        lease.release()
    assert held.num_resident == 0


async def test_a_load_counts_before_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    idle, cold = dispatch_env.version("a", 1), dispatch_env.version("b", 2)
    held, _ = with_clock(dispatch_env, host_bytes=cold.num_bytes)
    (await held.acquire(idle)).release()
    submit, loading = dispatch_env.engine.submit, Future[Result]()
    monkeypatch.setattr(
        dispatch_env.engine, "submit", lambda step: loading if is_load(step) else submit(step)
    )
    caller = asyncio.create_task(held.acquire(cold))
    while not unloads(dispatch_env):  # noqa: ASYNC110 a thread looks for its files first
        await asyncio.sleep(0.01)
    assert (unloads(dispatch_env), held.num_bytes) == ([idle.digest], cold.num_bytes)
    loading.set_result(Loaded(num_bytes=3, host_bytes=5))
    assert (await caller).num_bytes == 3
    assert held.num_bytes == 5


def is_load(step: Step) -> bool:
    return isinstance(step, Load)


async def test_a_caller_who_hangs_up_while_loading_leaves_an_adapter_that_can_be_unloaded(
    tmp_path: Path,
) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    held, _ = with_clock(dispatch_env, host_bytes=2**20)
    version = dispatch_env.version()
    caller = asyncio.create_task(held.acquire(version))
    await asyncio.sleep(0)
    caller.cancel()
    (await held.acquire(version)).release()
    held.discard(version.digest)
    assert unloads(dispatch_env) == [version.digest]
    assert (held.num_leases, held.num_bytes) == (0, 0)


async def test_failures_are_remembered_up_to_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_failures, "_MAX_FAILURES", 2)
    dispatch_env = DispatchEnv(tmp_path)
    versions = [dispatch_env.version(f"t{i}", i) for i in range(3)]
    held, _ = with_clock(dispatch_env, host_bytes=2**20)
    for version in versions:
        held.refuse(version.digest, BadAdapter("it holds nonsense"))
    (await held.acquire(versions[0])).release()
    for version in versions[1:]:
        with pytest.raises(BadAdapter, match="nonsense"):
            await held.acquire(version)
