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
        listener._task = asyncio.create_task(listener.serve([sock]))
        while not listener.started:
            if listener._task.done():
                raise StartFailed(f"HTTP did not start on {sock.getsockname()}")
            await asyncio.sleep(0.01)
        return listener

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop_accepting(self) -> None:
        for server in self.servers:
            server.close()

    async def finish(self, *, at_once: bool = False) -> None:
        """Let calls in flight end, within the time that was given at the start, or cut them off."""
        self.should_exit = True
        self.force_exit = at_once
        await self._task


def listen(host: str, port: int) -> socket.socket:
    """A bound socket, so that a port in use is known before anything slow begins.

    Raises PortInUse.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    # a port whose last connections linger may be taken again; one that is listened on may not
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(1024)
    except OSError as error:
        sock.close()
        raise PortInUse(f"HTTP cannot listen on {host}:{port}: {error.strerror}") from error
    return sock
