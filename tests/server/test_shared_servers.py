"""Two servers over one PostgreSQL and one bucket, and what becomes of answers while one of these is
away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from adapters_registry.registry import Registry
from adapters_registry.storage.database import Database
from server.main import Server
from server.pools import pools
from tests.server.build import Grpc, grpc_client, http_client, publish, running
from tests.services.fault_proxy import FaultProxy
from tests.services.s3 import S3Bucket

#: long enough for a slow machine; the time itself is measured by a benchmark
PATIENCE_S = 20.0


@pytest.fixture
def bucket_url(s3_bucket: S3Bucket, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in s3_bucket.environment.items():
        monkeypatch.setenv(name, value)
    return s3_bucket.url


@pytest.fixture
def database_url(postgres_url: str) -> str:
    Database.open(postgres_url, migrate=True).close()
    return postgres_url


@pytest.fixture
def shared(database_url: str, bucket_url: str) -> dict[str, Any]:
    return {"database_url": database_url, "blobs_url": bucket_url}


@asynccontextmanager
async def two_servers(directory: Path, shared: dict[str, Any]) -> AsyncIterator[tuple[Server, ...]]:
    async with AsyncExitStack() as stack:
        yield tuple([
            await stack.enter_async_context(running(directory / name, **shared))
            for name in ("one", "two")
        ])  # fmt: skip


def registry_of(server: Server) -> Registry:
    return server.parts.data.registry


async def eventually(check: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not await check():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def digest_of(client: Grpc, ref: str = "mood") -> str:
    return (await client.predict(ref, "a text")).digest


async def test_a_version_published_on_one_server_answers_on_the_other(
    tmp_path: Path, shared: dict[str, Any]
) -> None:
    async with two_servers(tmp_path, shared) as (one, two), grpc_client(two) as client:
        version = publish(registry_of(one), "mood")
        assert await digest_of(client) == version.digest


@pytest.mark.survival("E10")
async def test_an_alias_moved_on_one_server_is_followed_by_the_other(
    tmp_path: Path, shared: dict[str, Any]
) -> None:
    async with two_servers(tmp_path, shared) as (one, two), grpc_client(two) as client:
        versions = [publish(registry_of(one), "mood", seed=seed) for seed in range(2)]
        assert await digest_of(client) == versions[0].digest
        registry_of(one).promote("default", "mood", 2)

        async def follows() -> bool:
            return await digest_of(client) == versions[1].digest

        await eventually(follows)


@pytest.mark.survival("E10")
async def test_an_alias_that_moves_all_the_time_is_answered_by_whole_versions(
    tmp_path: Path, shared: dict[str, Any]
) -> None:
    async with two_servers(tmp_path, shared) as (one, two), grpc_client(two) as client:
        digests = {publish(registry_of(one), "mood", seed=seed).digest for seed in range(2)}
        answers = []
        for move in range(10):
            await asyncio.to_thread(registry_of(one).promote, "default", "mood", 1 + move % 2)
            answers += [await digest_of(client) for _ in range(3)]
        assert set(answers) <= digests


@pytest.mark.survival("E4")
async def test_what_one_server_deleted_the_other_frees_too(
    tmp_path: Path, shared: dict[str, Any]
) -> None:
    async with two_servers(tmp_path, shared) as (one, two), grpc_client(two) as client:
        publish(registry_of(one), "mood")
        await digest_of(client)
        assert two.parts.dispatch.residency.num_resident == 1
        assert ("default", "mood") in two.metrics.tasks.tasks
        registry_of(one).delete_task("default", "mood")

        async def is_freed() -> bool:
            return not two.parts.dispatch.residency.num_resident and not two.metrics.tasks.tasks

        await eventually(is_freed)


@pytest.fixture
def fragile(
    database_url: str,
    postgres_proxy: FaultProxy,
    s3_bucket: S3Bucket,
    s3_proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[dict[str, Any]]:
    """Both services behind proxies that can fail."""
    for name, value in s3_bucket.behind(s3_proxy.url).environment.items():
        monkeypatch.setenv(name, value)
    yield {"database_url": postgres_proxy.redirect(database_url), "blobs_url": s3_bucket.url}
    postgres_proxy.restore()
    s3_proxy.restore()


@pytest.mark.survival("G6")
async def test_what_was_asked_for_before_keeps_answering_while_the_database_is_away(
    tmp_path: Path, fragile: dict[str, Any], postgres_proxy: FaultProxy
) -> None:
    async with running(tmp_path, **fragile) as server, grpc_client(server) as client:
        version = await asyncio.to_thread(publish, registry_of(server), "mood")
        await digest_of(client)
        postgres_proxy.refuse()
        for _ in range(5):
            assert await digest_of(client) == version.digest


@pytest.mark.survival("G6")
async def test_a_database_that_answers_nobody_keeps_no_answer_from_memory_waiting(
    tmp_path: Path, fragile: dict[str, Any], postgres_proxy: FaultProxy
) -> None:
    async with running(tmp_path, **fragile) as server, grpc_client(server) as client:
        version = await asyncio.to_thread(publish, registry_of(server), "mood")
        await digest_of(client)
        postgres_proxy.hang()
        waiting = asyncio.ensure_future(digest_of(client, "never-asked-for"))
        await asyncio.sleep(0.1)
        for _ in range(5):
            assert await digest_of(client) == version.digest
        assert not waiting.done()
        postgres_proxy.restore()
        with pytest.raises(grpc.aio.AioRpcError):
            await waiting


@pytest.mark.survival("G6")
async def test_changes_and_unknown_refs_are_unavailable_while_the_database_is_away(
    tmp_path: Path, fragile: dict[str, Any], postgres_proxy: FaultProxy
) -> None:
    async with (
        running(tmp_path, **fragile) as server,
        grpc_client(server) as client,
        http_client(server) as http,
    ):
        await asyncio.to_thread(publish, registry_of(server), "mood")
        await digest_of(client)
        postgres_proxy.refuse()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await digest_of(client, "never-asked-for")
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        answer = await http.put("/v1/tasks/mood/aliases/canary", json={"version": 1})
        assert answer.status_code == 503
        postgres_proxy.restore()

        async def is_back() -> bool:
            return (await http.get("/v1/tasks/mood/aliases")).status_code == 200

        await eventually(is_back)
        assert [a.name for a in registry_of(server).aliases("default", "mood")] == ["production"]


@pytest.mark.survival("G6")
async def test_a_change_that_a_silent_database_keeps_waiting_is_refused_as_unavailable(
    tmp_path: Path,
    fragile: dict[str, Any],
    postgres_proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pools, "_STORAGE_S", 0.5)
    async with running(tmp_path, **fragile) as server, http_client(server) as http:
        await asyncio.to_thread(publish, registry_of(server), "mood")
        postgres_proxy.hang()
        for _ in range(6):  # more than the pool has threads for the tenant
            answer = await http.put("/v1/tasks/mood/aliases/canary", json={"version": 1})
            assert answer.status_code == 503
            assert "has not answered" in answer.text
        assert (await http.get("/v1/tasks/mood/aliases")).status_code == 503
        postgres_proxy.restore()


@pytest.mark.survival("G6")
async def test_moves_made_during_an_outage_are_followed_after_it(
    tmp_path: Path, shared: dict[str, Any], postgres_proxy: FaultProxy
) -> None:
    url = shared["database_url"]
    async with (
        running(tmp_path / "one", **shared) as one,
        running(
            tmp_path / "two", **{**shared, "database_url": postgres_proxy.redirect(url)}
        ) as two,
        grpc_client(two) as client,
    ):
        versions = [publish(registry_of(one), "mood", seed=seed) for seed in range(2)]
        assert await digest_of(client) == versions[0].digest
        postgres_proxy.refuse()
        registry_of(one).promote("default", "mood", 2)
        assert await digest_of(client) == versions[0].digest
        postgres_proxy.restore()

        async def follows() -> bool:
            return await digest_of(client) == versions[1].digest

        await eventually(follows)


@pytest.mark.survival("G5")
async def test_a_version_that_is_loaded_answers_while_the_bucket_is_away(
    tmp_path: Path, fragile: dict[str, Any], s3_proxy: FaultProxy
) -> None:
    async with running(tmp_path, **fragile) as server, grpc_client(server) as client:
        version = await asyncio.to_thread(publish, registry_of(server), "mood")
        await digest_of(client)
        s3_proxy.refuse()
        assert await digest_of(client) == version.digest


@pytest.mark.survival("G5")
async def test_a_bucket_that_answers_slowdown_now_and_then_is_asked_again(
    tmp_path: Path, fragile: dict[str, Any], s3_proxy: FaultProxy
) -> None:
    async with running(tmp_path, **fragile) as server, grpc_client(server) as client:
        s3_proxy.answer(503, 3)
        version = await asyncio.to_thread(publish, registry_of(server), "mood")
        assert await digest_of(client) == version.digest
