"""Accepts connections from a listening socket, a few at a time.

The event loop's own server accepts thousands in one turn, and writes a traceback for each that it
cannot accept because the process has no file descriptor left.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable
from errno import EMFILE, ENFILE, ENOBUFS, ENOMEM
from functools import partial

from server.http_api.connections.connection import Connection

_log = logging.getLogger(__name__)
#: accepted in one turn of the loop, so that earlier ones are served and closed in between
_PER_TURN = 32
_PAUSE_S = 0.1
#: for TLS handshakes in progress when the port closes, and for the end of an encrypted connection
_STOP_S = 2.0
_SECONDS_BETWEEN_WARNINGS = 60.0


class Acceptor:
    """From `start` to `stop` every connection gets a protocol of its own.

    `make_room` is called to close a connection when there is no file descriptor left. With
    `context` the protocol begins after a TLS handshake, during which it already has its place among
    the port's connections: peers that never finish one must not keep others out.
    """

    def __init__(
        self,
        sock: socket.socket,
        protocol: Callable[[], Connection],
        make_room: Callable[[], bool],
        context: Callable[[], ssl.SSLContext] | None = None,
        *,
        handshake_s: float = 10.0,
    ) -> None:
        self._sock = sock
        self._protocol = protocol
        self._make_room = make_room
        self._context = context
        self._handshake_s = handshake_s
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[object]] = set()
        self._paused: asyncio.TimerHandle | None = None
        self._warned = -_SECONDS_BETWEEN_WARNINGS
        self._is_open = False

    def start(self) -> None:
        self._sock.settimeout(0)
        self._is_open = True
        self._loop.add_reader(self._sock, self._accept, _PER_TURN)

    async def stop(self) -> None:
        """Accepts first what the kernel holds ready, because closing the socket would reset it."""
        if not self._is_open:
            return
        self._is_open = False
        self._loop.remove_reader(self._sock)
        if self._paused is not None:
            self._paused.cancel()
        while self._accept(_PER_TURN):
            pass
        self._sock.close()
        if self._connecting:
            _, late = await asyncio.wait(self._connecting, timeout=_STOP_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _accept(self, most: int) -> bool:
        """Whether there may be more."""
        for _ in range(most):
            try:
                connection = self._take()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return False
            except OSError as error:
                if error.errno not in (EMFILE, ENFILE, ENOBUFS, ENOMEM):
                    raise
                self._pause(error)
                return False
            connection.settimeout(0)
            self._connect(connection, self._protocol())
        return True

    def _connect(self, sock: socket.socket, protocol: Connection) -> None:
        if self._context is None:
            connecting = self._loop.connect_accepted_socket(lambda: protocol, sock)
        elif protocol.begin_handshake(_peer(sock)):
            connecting = self._loop.connect_accepted_socket(
                lambda: protocol,
                sock,
                ssl=self._context(),
                ssl_handshake_timeout=self._handshake_s,
                ssl_shutdown_timeout=_STOP_S,
            )
        else:
            sock.close()
            return
        task = self._loop.create_task(connecting)
        self._connecting.add(task)
        protocol.handshake = task
        task.add_done_callback(partial(self._on_connected, sock, protocol))

    def _take(self) -> socket.socket:
        connection, _ = self._sock.accept()
        return connection

    def _on_connected(
        self, sock: socket.socket, protocol: Connection, task: asyncio.Task[object]
    ) -> None:
        self._connecting.discard(task)
        protocol.end_handshake()
        if task.cancelled() and not protocol.is_connected:
            sock.close()  # the task may never have begun, so that no transport owns the socket
        if not task.cancelled() and task.exception() is not None:
            _log.debug("a connection ended before it began", exc_info=task.exception())

    def _pause(self, error: OSError) -> None:
        """The socket stays readable without a descriptor, so accepting resumes a little later."""
        self._make_room()
        now = time.monotonic()
        if now - self._warned >= _SECONDS_BETWEEN_WARNINGS:
            self._warned = now
            _log.warning(
                "no connection can be taken: %s", error.strerror, extra={"action": "accept.failed"}
            )
        if self._is_open:
            self._loop.remove_reader(self._sock)
            self._paused = self._loop.call_later(_PAUSE_S, self.start)


def _peer(sock: socket.socket) -> object:
    """None if it has gone already."""
    try:
        return sock.getpeername()
    except OSError:
        return None
