"""How HTTP is listened to: the sockets' options, and what a caller may hold open."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from server.http_api.connections.acceptor import Acceptor
from server.http_api.connections.listener import Listener, listen
from server.limits import ConnectionLimits
from server.metrics.metrics import Metrics
from tests.server.build import until

LIMITS = ConnectionLimits(total=64, per_address=64, head_s=30.0, idle_s=30.0)


async def answer_slowly(scope: Scope, receive: Receive, send: Send) -> None:
    """At once, but for `/wait`, which waits until the caller leaves, and `/much`."""
    if scope["path"] == "/wait":
        while (await receive())["type"] != "http.disconnect":
            pass
    text = "x" * 50_000_000 if scope["path"] == "/much" else "here"
    await PlainTextResponse(text)(scope, receive, send)


class Peer:
    """A caller who writes what it likes."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = socket.create_connection(sock.getsockname())
        self.socket.settimeout(0)

    async def send(self, content: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, content)
        await asyncio.sleep(0.02)

    async def read(self) -> bytes:
        """All that comes until the server closes."""
        content = b""
        with contextlib.suppress(ConnectionResetError):
            while some := await asyncio.get_running_loop().sock_recv(self.socket, 65536):
                content += some
        return content

    async def ask(self, path: str = "/") -> bytes:
        """One request on a connection that stays open."""
        await self.send(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
        return await asyncio.get_running_loop().sock_recv(self.socket, 65536)


@asynccontextmanager
async def listening(**changes: Any) -> AsyncIterator[tuple[Listener, Callable[[], Peer]]]:
    """A listener with other limits than usual, and what opens a connection to it."""
    sock = listen("127.0.0.1", 0)
    limits, metrics = replace(LIMITS, **changes), Metrics(CollectorRegistry())
    listener = await Listener.serving(
        answer_slowly, sock, limits=limits, observer=metrics, drain_s=1.0
    )
    peers: list[Peer] = []

    def connect() -> Peer:
        peers.append(Peer(sock))
        return peers[-1]

    try:
        yield listener, connect
    finally:
        await listener.finish(at_once=True)
        for peer in peers:
            peer.socket.close()


def delays_of(listener: Listener) -> list[int]:
    """Whether each open connection sends small writes at once."""
    sockets = [
        connection.transport.get_extra_info("socket")
        for connection in listener.server_state.connections
    ]
    return [each.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for each in sockets]


async def test_an_accepted_connection_sends_small_writes_at_once() -> None:
    async with listening() as (listener, connect):
        connect()
        await until(lambda: listener.server_state.connections)
        assert delays_of(listener) == [1]


async def test_a_connection_taken_over_at_the_end_does_too() -> None:
    async with listening() as (listener, connect):
        connect()
        await listener.stop_accepting()  # before the event loop saw the connection
        assert delays_of(listener) == [1]


async def test_a_body_in_very_many_tiny_chunks_is_refused_before_it_is_read() -> None:
    async with listening() as (_, connect):
        peer = connect()
        await peer.send(b"POST /wait HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        await peer.send(b"1\r\n \r\n" * 2000)
        await peer.send(b"1\r\n \r\n")
        assert b"2000 chunks" in await peer.read()


async def test_a_body_at_fault_behind_a_head_that_is_answered_leaves_no_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with listening() as (_, connect):
        peer = connect()
        await peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        await peer.read()
    assert [record.getMessage() for record in caplog.records] == []


HALF = b"GET / HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.survival("C11")
async def test_half_open_connections_keep_nobody_out() -> None:
    """Not even callers of the same address."""
    async with listening(total=20, per_address=10) as (listener, connect):
        held = []
        for _ in range(100):
            held.append(peer := connect())
            await peer.send(HALF)
            assert len(listener.server_state.connections) <= 11
        assert b"200 OK" in await connect().ask()
        assert b"200 OK" in await connect().ask()


async def test_the_oldest_without_a_request_go_first() -> None:
    async with listening(per_address=4) as (_, connect):
        busy, idle, half, last = (connect() for _ in range(4))
        await busy.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        await idle.ask()
        await half.send(HALF)
        await last.ask()
        assert b"200 OK" in await connect().ask()
        assert await half.read() == b""
        assert b"200 OK" in await connect().ask()
        assert await idle.read() == b""
        assert b"200 OK" in await last.ask()


async def test_where_every_connection_is_being_answered_another_is_told_to_come_later() -> None:
    async with listening(per_address=1) as (_, connect):
        busy = connect()
        await busy.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        late = connect()
        refusal = await late.read()
    assert b"503" in refusal.splitlines()[0]
    assert b"retry-after: 1" in refusal
    assert b'"code":"too_many_connections"' in refusal


@pytest.mark.survival("C11")
async def test_a_head_that_does_not_end_is_given_up_however_it_trickles() -> None:
    async with listening(head_s=0.3) as (listener, connect):
        peer = connect()
        with contextlib.suppress(ConnectionError):
            await peer.send(HALF)
            for _ in range(100):
                await peer.send(b"X")
        refusal = await peer.read()
        await until(lambda: not listener.server_state.connections)
    assert b"408" in refusal.splitlines()[0]
    assert b'"code":"too_slow"' in refusal


async def test_the_rest_of_an_answered_request_does_not_hold_its_connection() -> None:
    async with listening(head_s=0.3) as (listener, connect):
        peer = connect()
        await peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                await peer.send(b"X")
        await until(lambda: not listener.server_state.connections)


async def test_a_peer_that_takes_nothing_of_its_answer_is_cut_off() -> None:
    async with listening(stall_s=0.3) as (listener, connect):
        await connect().ask("/much")
        await until(lambda: not listener.server_state.connections)


async def test_what_is_no_http_is_refused_without_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with listening() as (_, connect):
        with caplog.at_level(logging.DEBUG):
            peer = connect()
            await peer.send(b"\x16\x03\x01 what\r\n\r\n")
            refusal = await peer.read()
            upgrade = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
            await connect().send(upgrade)
    assert b"400" in refusal.splitlines()[0]
    assert b'"code":"bad_request"' in refusal
    assert [each for each in caplog.records if each.name.startswith(("server", "uvicorn"))] == []


async def test_where_no_descriptor_is_left_room_is_made_and_little_is_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening() as (_, connect):
        await (half := connect()).send(HALF)
        failing = [OSError(errno.EMFILE, "Too many open files")] * 3
        monkeypatch.setattr(Acceptor, "_take", _failing(failing))
        assert b"200 OK" in await connect().ask()
        assert await half.read() == b""
    lines = [each for each in caplog.records if each.name.startswith("server")]
    assert [each.getMessage() for each in lines] == [
        "no connection can be taken: Too many open files"
    ]


def _failing(errors: list[OSError]) -> Callable[[Acceptor], socket.socket]:
    take = Acceptor._take

    def fail(acceptor: Acceptor) -> socket.socket:
        if errors:
            raise errors.pop()
        return take(acceptor)

    return fail
