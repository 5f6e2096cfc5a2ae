"""Floods: of frames, of heads and forms without end, and of tenants."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from server.main import Server
from server.metrics.metrics import Metrics
from tests.server.build import grpc_client, http_client, publish, registry_of, running

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, RESET, SETTINGS, PING, GOAWAY = 1, 3, 4, 6, 7
END_HEADERS = 4
CANCEL, ENHANCE_YOUR_CALM = 8, 11


def frame(kind: int, content: bytes = b"", stream: int = 0, flags: int = 0) -> bytes:
    return struct.pack(">I", len(content))[1:] + struct.pack(">BBI", kind, flags, stream) + content


def literal(text: bytes) -> bytes:
    return bytes([len(text)]) + text


#: a call's head as HPACK writes it: POST, http, the path, the authority, and what gRPC asks for
CALL = b"".join([
    b"\x83\x86", b"\x04", literal(b"/adapterd.v1.Tasks/ListTasks"), b"\x01", literal(b"x"),
    b"\x0f\x10", literal(b"application/grpc"), b"\x00", literal(b"te"), literal(b"trailers"),
])  # fmt: skip


@contextlib.asynccontextmanager
async def http2(server: Server) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.ports.grpc)
    writer.write(PREFACE + frame(SETTINGS))
    try:
        yield reader, writer
    finally:
        writer.close()


async def frames(reader: asyncio.StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readexactly(9)
            yield head[3], await reader.readexactly(int.from_bytes(head[:3], "big"))


@pytest.mark.survival("C11")
async def test_a_flood_of_pings_ends_its_connection_alone(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        publish(registry_of(server), "mood")
        async with http2(server) as (reader, writer):
            writer.write(frame(PING, b"\0" * 8) * 1000)
            async with asyncio.timeout(10):
                ends = [content async for kind, content in frames(reader) if kind == GOAWAY]
            assert int.from_bytes(ends[-1][4:8], "big") == ENHANCE_YOUR_CALM
        assert (await rpc.predict("mood", "x")).version == 1


@pytest.mark.survival("C11")
async def test_calls_reset_as_fast_as_they_are_opened_keep_no_other_out(tmp_path: Path) -> None:
    async with running(tmp_path, max_concurrent_calls=16) as server, grpc_client(server) as rpc:
        publish(registry_of(server), "mood")
        async with http2(server) as (reader, writer):
            reading = asyncio.create_task(_drained(reader))
            for number in range(2000):
                stream = 2 * number + 1
                writer.write(frame(HEADERS, CALL, stream, END_HEADERS))
                writer.write(frame(RESET, struct.pack(">I", CANCEL), stream))
                if number % 500 == 0:
                    assert (await rpc.predict("mood", "x", timeout=10)).version == 1
            await writer.drain()
            assert (await rpc.predict("mood", "x", timeout=10)).version == 1
            reading.cancel()


async def _drained(reader: asyncio.StreamReader) -> None:
    async for _ in frames(reader):
        pass


@pytest.mark.survival("C2")
async def test_a_giant_head_is_refused_and_its_connection_ended(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.ports.http)
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Much: " + b"x" * 2**20)
        async with asyncio.timeout(10):
            refusal = b""
            with contextlib.suppress(ConnectionError):  # what it said may be lost with the reset
                refusal = await reader.read()
        assert refusal == b"" or refusal.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))
        writer.close()
        assert (await http.get("/health/live")).status_code == 200


@pytest.mark.survival("C2")
async def test_a_form_whose_boundary_never_comes_is_refused_in_little_memory(
    tmp_path: Path,
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b'--end\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(2000):
            yield b"\r\n--en" * 2000
            await asyncio.sleep(0)

    async with (
        running(tmp_path, max_upload_bytes=100_000, max_body_bytes=100_000) as server,
        http_client(server) as http,
    ):
        tracemalloc.start()
        try:
            kind = {"content-type": "multipart/form-data; boundary=end"}
            answer = await http.post("/v1/files", content=endless(), headers=kind)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert answer.status_code == 413
        assert peak < 8 * 2**20  # of 24 MiB that were sent
        assert (await http.get("/v1/files")).json()["data"] == []


@pytest.mark.survival("H10")
def test_a_hundred_thousand_tenants_have_a_bounded_number_of_series() -> None:
    metrics = Metrics(CollectorRegistry())
    lengths = []
    for number in range(100_000):
        tenant, task = f"tenant-{number}", f"task-{number}"
        metrics.observe_predict(tenant=tenant, task=task, num_inputs=1, num_tokens=1)
        metrics.observe_task_call(tenant=tenant, task=task, code="ok", seconds=0.1)
        if number in (10_000, 99_999):
            lengths.append(len(generate_latest(metrics.registry).splitlines()))
    assert lengths[0] == lengths[1]
