"""Streams of files that stand still, grow too large or are broken off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapterd.v1 import adapters_pb2
from engine.testing.fake_engine import write_fake_adapter
from server.auth.caller import Caller, Role
from server.errors import BadCall, BodyTooLarge
from server.grpc_api.adapters import AdaptersApi
from server.limits import UploadLimits
from server.main import Server
from tests.server.build import grpc_client, publish, registry_of, running, until
from tests.server.test_adapters import messages

CALLER = Caller(tenant="default", key_id="", role=Role.ADMIN, request_id="1")


def api(server: Server, *, max_bytes: int = 2**20, stall_s: float = 5.0) -> AdaptersApi:
    return AdaptersApi(
        server.parts.service.adapters, UploadLimits(max_bytes=max_bytes, stall_s=stall_s)
    )


@pytest.mark.survival("C1")
@pytest.mark.parametrize("sent", [0, 1, 3])
async def test_a_stream_that_stands_still_is_given_up(tmp_path: Path, sent: int) -> None:
    adapter = write_fake_adapter(tmp_path / "adapter")

    async def stalled() -> AsyncIterator[adapters_pb2.RegisterRequest]:
        for message in list(messages(adapter, 100, task_id="mood"))[:sent]:
            yield message
        await asyncio.sleep(60)

    async with running(tmp_path / "data") as server:
        with pytest.raises(BadCall, match="The stream sent no message"):
            await api(server, stall_s=0.1).register(stalled(), CALLER)


@pytest.mark.survival("A12", "C1")
async def test_a_stream_stops_at_the_cap_of_uploads(tmp_path: Path) -> None:
    adapter = write_fake_adapter(tmp_path / "adapter")

    async def whole() -> AsyncIterator[adapters_pb2.RegisterRequest]:
        for message in messages(adapter, 100, task_id="mood"):
            yield message

    size = sum(path.stat().st_size for path in adapter.iterdir())
    async with running(tmp_path / "data") as server:
        with pytest.raises(BodyTooLarge, match=str(size - 1)):
            await api(server, max_bytes=size - 1).register(whole(), CALLER)
        assert (await api(server, max_bytes=size).register(whole(), CALLER)).version == 1


async def test_the_cap_is_the_one_of_the_settings(tmp_path: Path) -> None:
    adapter = write_fake_adapter(tmp_path / "adapter")
    async with (
        running(tmp_path / "data", max_upload_bytes=1024) as server,
        grpc_client(server) as rpc,
    ):
        with pytest.raises(Exception, match="1024 bytes allowed"):
            await rpc.adapters.Register(messages(adapter, task_id="mood"))


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    """Where exported files lie while they are sent."""
    return tmp_path / "data" / "staging"


async def test_an_export_nobody_reads_to_its_end_leaves_no_files(
    tmp_path: Path, exports: Path
) -> None:
    async with running(tmp_path / "data") as server, grpc_client(server) as rpc:
        publish(registry_of(server), "mood")
        call = rpc.adapters.Export(adapters_pb2.ExportRequest(task_id="mood"))
        await call.read()
        call.cancel()
        await until(lambda: not list(exports.iterdir()))


async def test_an_export_broken_off_while_it_is_made_leaves_no_files(
    tmp_path: Path, exports: Path
) -> None:
    async with running(tmp_path / "data") as server:
        publish(registry_of(server), "mood")
        making = asyncio.create_task(server.parts.service.adapters.export(CALLER, "mood"))
        await asyncio.sleep(0)
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
        await until(lambda: not server.parts.pools.transfers.num_running)
        await until(lambda: not list(exports.iterdir()))
