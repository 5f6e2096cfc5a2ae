"""A uvicorn server as the composition root wants it: bound early, signals left alone, stopped in
two steps.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from server.errors import PortInUse, StartFailed


class Listener(uvicorn.Server):
    """One ASGI application on one socket."""

    _task: asyncio.Task[None]
    _sock: socket.socket

    @classmethod
    async def serving(cls, app: ASGIApp, sock: socket.socket, drain_s: float) -> Listener:
        config = uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=max(1, round(drain_s)),
        )
        listener = cls(config)
        listener._sock = sock
        listener._task = asyncio.create_task(listener.serve([sock]))
        while not listener.started:
            if listener._task.done():
                raise StartFailed(f"HTTP did not start on {sock.getsockname()}")
            await asyncio.sleep(0.01)
        return listener

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def stop_accepting(self) -> None:
        # closing resets connections that the kernel has accepted and the event loop has not: they
        # are taken over first, in the same turn of the loop
        late = list(_waiting(self._sock))
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for connection in late:
            await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def finish(self, *, at_once: bool = False) -> None:
        """Let calls in flight end, within the time that was given at the start, or cut them off."""
        self.should_exit = True
        self.force_exit = at_once
        await self._task


def _waiting(sock: socket.socket) -> Iterator[socket.socket]:
    while True:
        try:
            connection, _ = sock.accept()
        except (BlockingIOError, ConnectionError):
            return
        connection.settimeout(0)
        yield connection


def listen(host: str, port: int) -> socket.socket:
    """A bound socket, so that a port in use is known before anything slow begins.

    Raises PortInUse.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small writes at once only where the socket names its protocol, which accepted
    # ones inherit; otherwise an answer's body waits some 40 ms until its head is acknowledged
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # a port whose last connections linger may be taken again; one that is listened on may not
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(1024)
    except OSError as error:
        sock.close()
        raise PortInUse(f"HTTP cannot listen on {host}:{port}: {error.strerror}") from error
    return sock
