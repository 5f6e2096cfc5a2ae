"""A uvicorn server with a socket that is bound early and a limit on open connections. It leaves
signals alone and stops in two steps: it stops accepting, then it finishes.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from server.errors import PortInUse, StartFailed
from server.http_api.connections.acceptor import Acceptor
from server.http_api.connections.connection import Connection
from server.http_api.connections.connection_table import ConnectionTable, Observer
from server.limits import ConnectionLimits

_SWEEP_S = 1.0


class Listener(uvicorn.Server):
    """One ASGI application on one socket."""

    table: ConnectionTable
    _task: asyncio.Task[None]
    _sweeping: asyncio.Task[None]
    _acceptor: Acceptor

    @classmethod
    async def serving(
        cls,
        app: ASGIApp,
        sock: socket.socket,
        *,
        limits: ConnectionLimits,
        observer: Observer,
        drain_s: float,
        context: Callable[[], ssl.SSLContext] | None = None,
    ) -> Listener:
        """With `context` each connection is encrypted by the context that it gives."""
        config = uvicorn.Config(
            app,
            http="h11",
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=max(1, round(limits.idle_s)),
            timeout_graceful_shutdown=max(1, round(drain_s)),
        )
        listener = cls(config)
        listener.server_state = listener.table = ConnectionTable(limits, observer)
        listener._acceptor = Acceptor(
            sock, listener._protocol, listener.table.evict_one, context, handshake_s=limits.head_s
        )
        listener._task = asyncio.create_task(listener.serve([sock]))
        while not listener.started:
            if listener._task.done():
                raise StartFailed(f"HTTP did not start on {sock.getsockname()}")
            await asyncio.sleep(0.01)
        return listener

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        del sockets  # the acceptor accepts from them, not the event loop's own server
        self.servers = []
        self._acceptor.start()
        self._sweeping = asyncio.create_task(self._sweep())
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self.stop_accepting()
        await super().shutdown(sockets)
        self._sweeping.cancel()

    async def stop_accepting(self) -> None:
        await self._acceptor.stop()

    async def finish(self, *, at_once: bool = False) -> None:
        """Wait for calls in flight, at most the drain time of the start, or end them at once."""
        self.should_exit = True
        self.force_exit = at_once
        await self._task

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.table.sweep()

    def _protocol(self) -> Connection:
        return Connection(self.config, self.table, self.lifespan.state)


def listen(host: str, port: int) -> socket.socket:
    """A bound socket, so that a port in use is noticed before anything slow begins.

    Raises PortInUse.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio disables Nagle's algorithm only for a socket that names its protocol, which accepted
    # ones inherit; otherwise the body of a response waits some 40 ms for the ACK of its head
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # a port with lingering connections can be bound again; one that is listened on cannot
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(1024)
    except OSError as error:
        sock.close()
        raise PortInUse(f"HTTP cannot listen on {host}:{port}: {error.strerror}") from error
    return sock
