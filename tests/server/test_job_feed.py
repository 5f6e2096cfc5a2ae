"""Watchers of jobs: woken by changes, whoever made them, at the cost of one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from adapters_registry.storage.database import Database
from server.errors import Overloaded
from server.pools.work_pool import WorkPool
from server.service.resources.job_feed import JobFeed
from tests.trainer.build import TrainerEnv, jsonl, mood_rows
from trainer.jobs.store import JobStore


@pytest.fixture
def trainer_env(tmp_path: Path) -> Iterator[TrainerEnv]:
    made = TrainerEnv(directory=tmp_path)
    yield made
    made.close()


@pytest.fixture
def lookups() -> Iterator[WorkPool]:
    made = WorkPool("look-ups", places=2, share=2, max_waiting=100)
    yield made
    made.close()


def feed_of(trainer_env: TrainerEnv, lookups: WorkPool, max_streams: int = 100) -> JobFeed[int]:
    return JobFeed(trainer_env.store.changes, lookups, max_streams=max_streams, poll_s=0.01)


@pytest.mark.survival("C11")
async def test_many_watchers_of_a_job_read_it_once_for_each_change(
    trainer_env: TrainerEnv, lookups: WorkPool
) -> None:
    feed, job = (
        feed_of(trainer_env, lookups),
        trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows()))),
    )
    reads: list[int] = []
    started: list[int] = []
    all_started = asyncio.Event()

    async def read(after: int) -> int:
        reads.append(after)
        await asyncio.sleep(0.01)
        return trainer_env.store.job(job.tenant, job.id).revision

    async def watch() -> list[int]:
        with feed.watching(job.tenant, job.id, read) as watched:
            first = await watched.read(0)
            started.append(first)
            if len(started) == 50:
                all_started.set()
            while not await watched.change(10) or await watched.read(0) == first:
                pass
            return [first, await watched.read(0)]

    watching = [asyncio.ensure_future(watch()) for _ in range(50)]
    await all_started.wait()
    trainer_env.trainer.pause(job.tenant, job.id)
    seen = await asyncio.gather(*watching)
    assert all(second > first for first, second in seen)
    assert len(reads) < 10


async def test_a_change_by_another_process_wakes_and_another_jobs_does_not(
    trainer_env: TrainerEnv, lookups: WorkPool
) -> None:
    feed = feed_of(trainer_env, lookups)
    watched_job, other_job = (
        trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows()), task=name))
        for name in ("a", "b")
    )

    async def read(after: int) -> int:
        return after

    database = Database.open(trainer_env.state.database.engine.url)
    elsewhere = JobStore(database)
    with feed.watching(watched_job.tenant, watched_job.id, read) as watched:
        assert await watched.change(1)  # the first look at all
        elsewhere.pause(other_job.tenant, other_job.id)
        assert not await watched.change(0.2)
        elsewhere.pause(watched_job.tenant, watched_job.id)
        assert await watched.change(10)
    database.close()


@pytest.mark.survival("C11")
async def test_a_tenants_streams_are_bounded_and_another_tenants_are_its_own(
    trainer_env: TrainerEnv, lookups: WorkPool
) -> None:
    feed = feed_of(trainer_env, lookups, max_streams=2)

    async def read(after: int) -> int:
        return after

    with ExitStack() as open_streams:
        for number in range(2):
            open_streams.enter_context(feed.watching("acme", f"job-{number}", read))
        with pytest.raises(Overloaded, match="2 job streams"), feed.watching("acme", "job-9", read):
            pass
        with feed.watching("globex", "job-9", read):
            pass
    with feed.watching("acme", "job-9", read):
        pass


async def test_nothing_polls_once_the_last_watcher_is_gone_and_the_next_one_is_woken_again(
    trainer_env: TrainerEnv, lookups: WorkPool
) -> None:
    feed = feed_of(trainer_env, lookups)
    job = trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows())))

    async def read(after: int) -> int:
        return trainer_env.store.job(job.tenant, job.id).revision

    with feed.watching(job.tenant, job.id, read):
        await asyncio.sleep(0.03)
    await asyncio.sleep(0.03)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    with feed.watching(job.tenant, job.id, read) as watched:
        await watched.read(0)
        trainer_env.trainer.pause(job.tenant, job.id)
        assert await watched.change(10)


async def test_a_stream_starts_the_poll_again_that_an_unforeseen_error_ended(
    trainer_env: TrainerEnv, lookups: WorkPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = feed_of(trainer_env, lookups)
    job = trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows())))

    async def read(after: int) -> int:
        return after

    def fail() -> None:
        raise RuntimeError

    with feed.watching(job.tenant, job.id, read):
        with monkeypatch.context() as patch:
            patch.setattr(type(trainer_env.store.changes), "stamps", lambda *_: fail())
            await asyncio.sleep(0.1)
        with feed.watching(job.tenant, job.id, read) as watched:
            await asyncio.sleep(0.1)
            trainer_env.trainer.pause(job.tenant, job.id)
            assert await watched.change(10)
