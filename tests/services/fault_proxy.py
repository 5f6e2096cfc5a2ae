"""A proxy on loopback that passes bytes on until it is told to fail. Knows no protocol but where
the requests of HTTP/1.1 begin and end.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from enum import StrEnum
from typing import Self
from urllib.parse import urlsplit, urlunsplit

_CHUNK_BYTES = 65536
_MAX_CONNECTIONS = 256
_WAIT_S = 10.0
#: closing sends a reset instead of an orderly end
_RESET = struct.pack("ii", 1, 0)
_CODES = {403: "AccessDenied", 500: "InternalError", 503: "SlowDown"}


class Toward(StrEnum):
    """Which way bytes go."""

    CLIENT = "client"
    SERVER = "server"


class ConnectionCut(Exception):
    """The proxy ends the connection."""


class FaultProxy:
    """Runs in a thread of its own from the constructor to `close`. A fault is in force when the
    method that sets it returns, for open connections and new ones, until `restore`.
    """

    def __init__(self, host: str, port: int, *, speaks_http: bool = False) -> None:
        self._target = (host, port)
        self._speaks_http = speaks_http
        #: requests that were passed on, those of HTTP only
        self.num_requests = 0
        #: connections that were accepted
        self.num_connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0)
        self._address: tuple[str, int] = self._listener.getsockname()
        self._links: set[asyncio.Task[None]] = set()
        self._delay_s = 0.0
        self._left: dict[Toward, int] = {}
        self._answers: list[int] = []
        self._accepting: asyncio.Task[None]
        ready: threading.Event = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main(ready)))
        self._thread.start()
        assert ready.wait(_WAIT_S)

    @property
    def port(self) -> int:
        return self._address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def redirect(self, url: str) -> str:
        """The URL with this proxy's address instead of the server's."""
        parts = urlsplit(url)
        user, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user}{at}127.0.0.1:{self.port}"))

    def refuse(self) -> None:
        """Connections are refused, and open ones reset."""
        self._await(self._stop_listening())

    def hang(self) -> None:
        """Connections are accepted, and no byte passes."""
        self._do(lambda: self._flowing.clear())

    def delay(self, seconds: float) -> None:
        """Each chunk of at most 64 KiB waits, either way."""
        self._do(lambda: setattr(self, "_delay_s", seconds))

    def cut_after(self, num_bytes: int, toward: Toward) -> None:
        """One connection is reset: the one that would pass the byte after these. They are counted
        from now on, over all connections.
        """
        self._do(lambda: self._left.__setitem__(toward, num_bytes))

    def answer(self, status: int, times: int = 1) -> None:
        """The next requests are answered by the proxy, as S3 does, and do not reach the server."""
        assert self._speaks_http
        self._do(lambda: self._answers.extend([status] * times))

    def restore(self) -> None:
        """No more faults; what hung passes."""
        self._do(self._clear_faults)

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(_WAIT_S)
            assert not self._thread.is_alive()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _do(self, change: Callable[[], object]) -> None:
        async def call() -> None:
            change()

        self._await(call())

    def _await(self, call: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(call, self._loop).result(_WAIT_S)

    async def _stop_listening(self) -> None:
        await self._end_tasks()
        self._listener.close()
        # bound and not listening: nobody else gets the port, and who connects is refused
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(self._address)
        self._listener.settimeout(0)

    async def _end_tasks(self) -> None:
        tasks = [self._accepting, *self._links]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _clear_faults(self) -> None:
        self._flowing.set()
        self._delay_s = 0.0
        self._left.clear()
        self._answers.clear()
        if self._accepting.done():
            self._listener.listen()
            self._accepting = asyncio.create_task(self._accept())

    async def _main(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._accepting = asyncio.create_task(self._accept())
        ready.set()
        await self._stopping.wait()
        await self._end_tasks()
        self._listener.close()

    async def _accept(self) -> None:
        while True:
            client, _ = await self._loop.sock_accept(self._listener)
            self.num_connections += 1
            if len(self._links) >= _MAX_CONNECTIONS:
                _reset(client)
                continue
            link = asyncio.create_task(self._connect(client))
            self._links.add(link)
            link.add_done_callback(self._links.discard)

    async def _connect(self, client: socket.socket) -> None:
        server = socket.socket()
        for end in (client, server):
            end.settimeout(0)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self._loop.sock_connect(server, self._target)
            async with asyncio.TaskGroup() as both:
                pump = self._pump_requests if self._speaks_http else self._pump
                both.create_task(pump(client, server, Toward.SERVER))
                both.create_task(self._pump(server, client, Toward.CLIENT))
        except* (OSError, ConnectionCut):
            _reset(client)
        except* asyncio.CancelledError:
            # `refuse` and `close` end it
            _reset(client)
        finally:
            client.close()
            server.close()

    async def _pump(self, source: socket.socket, target: socket.socket, toward: Toward) -> None:
        while chunk := await self._loop.sock_recv(source, _CHUNK_BYTES):
            await self._pass_on(chunk, target, toward)
        await self._flowing.wait()
        target.shutdown(socket.SHUT_WR)

    async def _pump_requests(
        self, source: socket.socket, target: socket.socket, toward: Toward
    ) -> None:
        buffer = b""
        while True:
            while (end := buffer.find(b"\r\n\r\n")) < 0:
                chunk = await self._loop.sock_recv(source, _CHUNK_BYTES)
                if not chunk:
                    target.shutdown(socket.SHUT_WR)
                    return
                buffer += chunk
            missing = end + 4 + _content_length(buffer[:end])
            status = self._answers.pop(0) if self._answers else None
            self.num_requests += status is None
            while missing:
                part, buffer = buffer[:missing], buffer[missing:]
                missing -= len(part)
                if status is None and part:
                    await self._pass_on(part, target, toward)
                if missing:
                    buffer = await self._loop.sock_recv(source, _CHUNK_BYTES)
                    if not buffer:
                        raise ConnectionCut
            if status is not None:
                await self._loop.sock_sendall(source, _refusal(status))
                # what the client has not read yet would be lost with a reset
                source.shutdown(socket.SHUT_WR)
                target.shutdown(socket.SHUT_WR)
                return

    async def _pass_on(self, chunk: bytes, target: socket.socket, toward: Toward) -> None:
        await self._flowing.wait()
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        left = self._left.get(toward)
        if left is None or len(chunk) <= left:
            if left is not None:
                self._left[toward] = left - len(chunk)
            await self._loop.sock_sendall(target, chunk)
            return
        del self._left[toward]
        await self._loop.sock_sendall(target, chunk[:left])
        raise ConnectionCut


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name == b"transfer-encoding":
            raise ConnectionCut
        if name == b"content-length":
            return int(value)
    return 0


def _refusal(status: int) -> bytes:
    code = _CODES[status]
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
    head = f"HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.close()
