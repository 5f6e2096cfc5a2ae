"""How HTTP is listened to: the sockets' options, and what a caller may hold open."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from server.http_api.listener import Listener, listen
from tests.server.build import until


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("here")(scope, receive, send)


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[Listener, socket.socket]]:
    sock = listen("127.0.0.1", 0)
    listener = await Listener.serving(answer, sock, 1.0)
    try:
        yield listener, sock
    finally:
        await listener.finish(at_once=True)
        sock.close()


def delays_of(listener: Listener) -> list[int]:
    """Whether each open connection sends small writes at once."""
    sockets = [
        connection.transport.get_extra_info("socket")
        for connection in listener.server_state.connections
    ]
    return [each.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for each in sockets]


async def test_an_accepted_connection_sends_small_writes_at_once() -> None:
    async with listening() as (listener, sock):
        _, writer = await asyncio.open_connection(*sock.getsockname())
        await until(lambda: listener.server_state.connections)
        assert delays_of(listener) == [1]
        writer.close()


async def test_a_connection_taken_over_at_the_end_does_too() -> None:
    async with listening() as (listener, sock):
        with socket.create_connection(sock.getsockname()):
            await listener.stop_accepting()  # before the event loop saw the connection
            assert delays_of(listener) == [1]
