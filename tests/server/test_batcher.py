"""The seam between asyncio and the port: size, order, errors, cancellation, engine death."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import BadAdapter, BadRow, EngineGone, NotLoaded, OutOfMemory
from engine.port import Failure, Predict, Unload
from server.errors import AdapterTooLarge, DeadlinePassed, Draining, Overloaded, Stale
from tests.server.dispatching import DispatchEnv, entry, limits, settled


async def test_calls_that_arrive_together_share_one_batch(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    leases = [await dispatch_env.lease("a", 1), await dispatch_env.lease("b", 2)]
    calls = await dispatch_env.calls(*leases)
    assert [len(step.rows) for step in dispatch_env.predicts()] == [2]
    dispatch_env.engine.release_all()
    assert len(await asyncio.gather(*calls)) == 2


async def test_one_batch_runs_and_one_is_sent_ahead(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    lease = await dispatch_env.lease()
    for _ in range(3):
        await dispatch_env.calls(lease)
    assert len(dispatch_env.engine.held) == 2
    assert dispatch_env.queue.num_rows == 1
    dispatch_env.engine.release_all()
    await settled()


async def test_a_batch_is_not_sent_ahead_while_little_waits(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path, ahead_tokens=100)
    lease = await dispatch_env.lease()
    for _ in range(3):
        await dispatch_env.calls(lease)
    assert len(dispatch_env.engine.held) == 1
    dispatch_env.engine.release()
    await settled()
    assert [len(step.rows) for step in dispatch_env.predicts()] == [2]
    dispatch_env.engine.release_all()
    await settled()


async def test_the_next_batch_is_sent_shortly_before_the_running_one_is_expected_to_end(
    tmp_path: Path,
) -> None:
    now = [100.0]
    # a call of two tokens runs for two seconds
    dispatch_env = DispatchEnv(tmp_path, tokens_per_s=1.0, clock=lambda: now[0])
    lease = await dispatch_env.lease()
    for _ in range(3):
        await dispatch_env.calls(lease)
    assert [len(step.rows) for step in dispatch_env.predicts()] == [1]
    now[0] = 101.995
    dispatch_env.batcher.wake()
    await settled()
    assert [len(step.rows) for step in dispatch_env.predicts()] == [1, 2]
    dispatch_env.engine.release_all()
    await settled()


async def test_a_batch_that_ends_sooner_than_expected_is_followed_at_once(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path, tokens_per_s=1.0)
    lease = await dispatch_env.lease()
    first, second = [*await dispatch_env.calls(lease), *await dispatch_env.calls(lease)]
    dispatch_env.engine.release()
    await first
    assert [len(step.rows) for step in dispatch_env.predicts()] == [1]
    dispatch_env.engine.release_all()
    await second


@pytest.mark.survival("E5")
async def test_a_batch_is_sent_ahead_though_the_running_one_uses_every_slot(
    tmp_path: Path,
) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    leases = [await dispatch_env.lease(f"t{seed}", seed) for seed in range(8)]
    calls = await dispatch_env.calls(*leases[:4])
    calls += await dispatch_env.calls(*leases[4:])
    assert [len(step.place) for step in dispatch_env.predicts()] == [4, 4]
    dispatch_env.engine.release_all()
    for lease, answers in zip(leases, await asyncio.gather(*calls), strict=True):
        (alone,) = await dispatch_env.call(lease)
        assert answers[0].rows == alone.rows


@pytest.mark.survival("H1")
async def test_a_tenant_with_little_is_in_the_next_batch_beside_one_that_fills_the_queue(
    tmp_path: Path,
) -> None:
    dispatch_env = DispatchEnv(tmp_path, limits=limits(max_rows=4))
    lease = await dispatch_env.lease()
    heavy = [asyncio.create_task(dispatch_env.call(lease, [1], tenant="heavy")) for _ in range(16)]
    await settled()
    light = asyncio.create_task(dispatch_env.call(lease, [2, 2], tenant="light"))
    await settled()
    dispatch_env.engine.release()
    await settled()
    assert [2, 2] in [row.ids for row in dispatch_env.predicts()[-1].rows]
    dispatch_env.engine.release_all()
    await asyncio.gather(*heavy, light)


@pytest.mark.survival("D6")
async def test_answers_come_back_to_the_rows_they_belong_to(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    dispatch_env.engine.is_holding = False
    leases = [await dispatch_env.lease("a", 1), await dispatch_env.lease("b", 2)]
    together = await asyncio.gather(
        *(dispatch_env.call(leases[i % 2], [i + 1, i + 2], [i + 3]) for i in range(6))
    )
    for i, (answer,) in enumerate(together):
        (alone,) = await dispatch_env.call(leases[i % 2], [i + 1, i + 2], [i + 3])
        assert answer.rows == alone.rows


@pytest.mark.survival("E1")
async def test_every_step_names_the_digest_of_every_slot_it_uses(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    lease = await dispatch_env.lease()
    await dispatch_env.calls(lease)
    await dispatch_env.calls(lease)
    for step in dispatch_env.predicts():
        assert step.place == {row.slot: lease.digest for row in step.rows}
    dispatch_env.engine.release_all()
    await settled()


@pytest.mark.survival("C9")
async def test_a_failing_row_fails_alone(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    dispatch_env.engine.is_holding, dispatch_env.engine.inner.poison = False, 66
    (answer,) = await dispatch_env.call(await dispatch_env.lease(), [1], [66], [2])
    assert [isinstance(row, Failure) for row in answer.rows] == [False, True, False]


@pytest.mark.survival("C9")
async def test_a_step_that_fails_as_a_whole_is_tried_again_entry_by_entry(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    leases = [await dispatch_env.lease("a", 1), await dispatch_env.lease("b", 2)]
    calls = await dispatch_env.calls(*leases)
    dispatch_env.engine.inner.broken[Predict] = BadRow("this batch upsets the engine")
    dispatch_env.engine.release()
    del dispatch_env.engine.inner.broken[Predict]
    await settled()
    assert [len(step.rows) for step in dispatch_env.predicts()] == [1, 1]
    dispatch_env.engine.release_all()
    assert len(await asyncio.gather(*calls)) == 2


async def test_an_entry_that_fails_by_itself_gets_the_error(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    (call,) = await dispatch_env.calls(await dispatch_env.lease())
    dispatch_env.engine.inner.broken[Predict] = OutOfMemory()
    dispatch_env.engine.release()
    with pytest.raises(OutOfMemory):
        await call
    assert dispatch_env.slots.placed == {}  # nobody knows whether it was placed


@pytest.mark.survival("E3")
@pytest.mark.parametrize("method", ["observe_batch", "observe_queue_time"])
async def test_a_fault_of_our_own_fails_the_batch_and_the_next_one_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    dispatch_env.engine.is_holding = False
    lease = await dispatch_env.lease()

    def failing(*_: object, **__: object) -> None:
        raise ValueError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(dispatch_env.metrics, method, failing)
        with pytest.raises(EngineGone):
            async with asyncio.timeout(5):
                await dispatch_env.call(lease)
    async with asyncio.timeout(5):
        assert len(await dispatch_env.call(lease)) == 1


@pytest.mark.survival("E3")
async def test_a_step_that_the_port_does_not_take_fails_its_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    lease = await dispatch_env.lease()

    def failing(_: object) -> None:
        raise RuntimeError("cannot schedule new futures after shutdown")

    monkeypatch.setattr(dispatch_env.engine, "submit", failing)
    with pytest.raises(EngineGone):
        async with asyncio.timeout(5):
            await dispatch_env.call(lease)
    assert dispatch_env.batcher.running_labels == set()


@pytest.mark.survival("E3")
async def test_a_fault_while_a_batch_is_chosen_fails_all_that_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    lease = await dispatch_env.lease()

    def failing(_: object) -> None:
        raise RuntimeError("the books are wrong")

    monkeypatch.setattr(dispatch_env.slots, "place", failing)
    with pytest.raises(EngineGone):
        async with asyncio.timeout(5):
            await dispatch_env.call(lease)
    assert not dispatch_env.queue


async def test_the_books_never_say_less_than_the_engine_holds(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    leases = [await dispatch_env.lease("a", 1), await dispatch_env.lease("b", 2)]
    calls = await dispatch_env.calls(*leases)
    dispatch_env.engine.inner.broken[Predict] = NotLoaded()
    dispatch_env.engine.release()  # of several, nobody knows which it was
    assert dispatch_env.residency.num_resident == 2
    await settled()
    dispatch_env.engine.release()
    del dispatch_env.engine.inner.broken[Predict]
    dispatch_env.engine.release_all()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(Stale) == 1
    unloaded = [step.digest for step in dispatch_env.engine.steps if isinstance(step, Unload)]
    assert (
        len(unloaded)
        == dispatch_env.residency.num_resident
        == len(dispatch_env.engine.inner.loaded)
        == 1
    )


@pytest.mark.survival("E7")
async def test_an_adapter_that_cannot_be_placed_is_refused_for_a_while(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    version = dispatch_env.version()
    (call,) = await dispatch_env.calls(await dispatch_env.residency.acquire(version))
    dispatch_env.engine.inner.broken[Predict] = BadAdapter("it holds nonsense")
    dispatch_env.engine.release()
    with pytest.raises(BadAdapter):
        await call
    dispatch_env.residency.forget(version.digest)
    with pytest.raises(BadAdapter, match="nonsense"):
        await dispatch_env.residency.acquire(version)


async def test_a_caller_who_hangs_up_while_queued_leaves_at_once(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    lease = await dispatch_env.lease()
    for _ in range(2):
        await dispatch_env.calls(lease)
    (waiting,) = await dispatch_env.calls(lease)
    assert dispatch_env.queue.num_rows == 1
    waiting.cancel()
    await settled()
    assert (dispatch_env.queue.num_rows, dispatch_env.queue.num_tokens) == (0, 0)
    lease.release()
    assert dispatch_env.residency.num_leases == 2  # only what runs
    dispatch_env.engine.release_all()
    await settled()
    assert (dispatch_env.residency.num_leases, dispatch_env.slots.num_leases) == (0, 0)


@pytest.mark.survival("E3")
async def test_a_caller_who_hangs_up_while_running_keeps_the_lease_until_the_engine_is_done(
    tmp_path: Path,
) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    lease = await dispatch_env.lease()
    (running,) = await dispatch_env.calls(lease)
    lease.release()
    running.cancel()
    await settled()
    assert dispatch_env.residency.num_leases == 1
    dispatch_env.engine.release_all()
    await settled()
    assert (dispatch_env.residency.num_leases, dispatch_env.slots.num_leases) == (0, 0)


@pytest.mark.survival("H3")
async def test_an_entry_past_its_deadline_never_reaches_the_engine(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    with pytest.raises(DeadlinePassed):
        await dispatch_env.call(await dispatch_env.lease(), deadline=0.0)
    assert dispatch_env.engine.held == []


@pytest.mark.survival("H1")
async def test_rows_beyond_the_queue_are_refused_with_the_time_to_come_back(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    lease = await dispatch_env.lease()
    for _ in range(2):
        await dispatch_env.calls(lease)
    waiting = [asyncio.create_task(dispatch_env.call(lease, *[[1]] * 10)) for _ in range(2)]
    await settled()
    with pytest.raises(Overloaded, match="20 rows") as refused:
        await dispatch_env.call(lease)
    assert refused.value.retry_after_s > 0
    dispatch_env.engine.release_all()
    await asyncio.gather(*waiting)


@pytest.mark.survival("H1")
async def test_tokens_beyond_the_queue_are_refused(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    lease = await dispatch_env.lease()
    for _ in range(2):
        await dispatch_env.calls(lease)
    waiting = asyncio.create_task(dispatch_env.call(lease, [1] * 190))
    await settled()
    with pytest.raises(Overloaded):
        await dispatch_env.call(lease, [1] * 20)
    dispatch_env.engine.release_all()
    await waiting


async def test_an_adapter_larger_than_all_slots_is_refused(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    lease = await dispatch_env.lease()
    lease.num_bytes = 2**30
    with pytest.raises(AdapterTooLarge):
        await dispatch_env.batcher.run([entry(lease, [1])])


@pytest.mark.survival("E5")
async def test_more_tasks_than_slots_are_all_answered(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path, limits=limits(num_slots=2))
    leases = [await dispatch_env.lease(f"t{i}", i) for i in range(6)]
    calls = await dispatch_env.calls(*leases)
    for step in dispatch_env.predicts():
        assert len(step.place) <= 2
    dispatch_env.engine.release_all()
    assert len(await asyncio.gather(*calls)) == 6
    assert dispatch_env.slots.num_leases == 0


@pytest.mark.survival("H5")
async def test_calls_in_flight_when_the_engine_dies_get_a_retryable_error(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    lease = await dispatch_env.lease()
    (call,) = await dispatch_env.calls(lease)
    dispatch_env.engine.die(EngineGone())
    with pytest.raises(EngineGone):
        await call
    lease.release()
    assert (dispatch_env.residency.num_leases, dispatch_env.slots.num_leases) == (0, 0)


async def test_calls_the_dead_engine_never_saw_are_told_to_start_again(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    lease = await dispatch_env.lease()
    running = [*(await dispatch_env.calls(lease)), *(await dispatch_env.calls(lease))]
    (queued,) = await dispatch_env.calls(lease)
    dispatch_env.engine.die(EngineGone())
    for call in running:
        with pytest.raises(EngineGone):
            await call
    with pytest.raises(Stale):
        await queued


async def test_a_digest_the_engine_lost_is_loaded_again_by_the_next_call(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    dispatch_env.engine.is_holding = False
    version = dispatch_env.version()
    lease = await dispatch_env.residency.acquire(version)
    dispatch_env.engine.inner.loaded.clear()
    with pytest.raises(Stale):
        await dispatch_env.call(lease)
    (answer,) = await dispatch_env.call(await dispatch_env.residency.acquire(version))
    assert not isinstance(answer.rows[0], Failure)


async def test_what_waits_when_the_server_stops_is_told_so(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    lease = await dispatch_env.lease()
    for _ in range(2):
        await dispatch_env.calls(lease)
    (waiting,) = await dispatch_env.calls(lease)
    dispatch_env.queue.close()
    with pytest.raises(Draining):
        await waiting
    with pytest.raises(Draining):
        await dispatch_env.call(lease)
    dispatch_env.engine.release_all()
    await settled()


events = st.lists(
    st.sampled_from(["call a", "call b", "call c", "release", "cancel", "fail", "die", "unload"]),
    max_size=25,
)


@pytest.mark.survival("E3")
@given(events)
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_after_any_trace_leases_are_zero_and_slots_hold_only_what_is_loaded(
    tmp_path_factory: pytest.TempPathFactory, trace: list[str]
) -> None:
    asyncio.run(_play(tmp_path_factory.mktemp("trace"), trace))


async def _play(directory: Path, trace: list[str]) -> None:
    dispatch_env = DispatchEnv(directory, limits=limits(num_slots=2))
    versions = {name: dispatch_env.version(name, seed) for seed, name in enumerate("abc")}
    calls: list[asyncio.Task[object]] = []
    for event in trace:
        if event.startswith("call"):
            version = versions[event[-1]]
            lease = await dispatch_env.residency.acquire(version)
            calls.append(asyncio.create_task(dispatch_env.batcher.run([entry(lease, [1, 2])])))
        elif event == "cancel" and calls:
            calls[-1].cancel()
        elif event == "die":
            dispatch_env.engine.die(EngineGone())
        elif event == "unload":
            dispatch_env.residency.discard(versions["a"].digest)
        elif dispatch_env.engine.held:
            if event == "fail":
                dispatch_env.engine.inner.broken[Predict] = BadRow()
            dispatch_env.engine.release()
            dispatch_env.engine.inner.broken.clear()
        await settled()
    dispatch_env.engine.release_all()
    await asyncio.gather(*calls, return_exceptions=True)
    await settled()
    assert (dispatch_env.residency.num_leases, dispatch_env.slots.num_leases) == (0, 0)
    assert (dispatch_env.queue.num_rows, dispatch_env.queue.num_tokens) == (0, 0)
    (answer,) = await dispatch_env.call(await dispatch_env.residency.acquire(versions["a"]))
    assert not isinstance(answer.rows[0], Failure)
    assert dispatch_env.slots.placed.items() <= dispatch_env.engine.inner.placed.items()
    assert set(dispatch_env.slots.placed.values()) <= set(dispatch_env.engine.inner.loaded)
    dispatch_env.registry.close()
