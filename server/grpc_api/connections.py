"""Closes connections of the gRPC port that made no call, before they use up the port's limit.

gRPC refuses connections beyond a number but has no interface to close one. On Linux a process can
list its own sockets; gRPC treats a socket that is shut down as a peer that disconnected.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

_FOLDER = Path("/proc/self/fd")
_SWEEP_S = 0.1
#: how many peers of calls are remembered before those that left are dropped
_MOST_REMEMBERED = 10_000


class GrpcConnections:
    """A connection with an accepted call may stay. If half of the allowed connections are open, the
    oldest of the others are closed.
    """

    def __init__(self, most: int, observe: Callable[[str], None]) -> None:
        #: the gRPC port, once it is known
        self.port = 0
        self._soft_limit = max(1, most // 2)
        self._observe = observe
        self._sees_sockets = _FOLDER.is_dir()
        #: when each peer was first seen, and which peers made a call
        self._opened: dict[str, float] = {}
        self._called: set[str] = set()

    def note_call(self, peer: str) -> None:
        """`peer` as gRPC names it."""
        self._called.add(_plain(peer))

    def peers(self) -> frozenset[str]:
        """The peers that are connected now."""
        return frozenset(dict(self._list_open()))

    async def watch(self) -> None:
        """Sweeps until it is cancelled; returns at once if the system has no such folder."""
        while self._sees_sockets:
            await asyncio.sleep(_SWEEP_S)
            self.sweep()

    def sweep(self) -> None:
        if len(_descriptors()) <= self._soft_limit and len(self._called) <= _MOST_REMEMBERED:
            self._opened.clear()
            return
        descriptors = dict(self._list_open())
        now = time.monotonic()
        self._opened = {peer: self._opened.get(peer, now) for peer in descriptors}
        self._called &= descriptors.keys()
        waiting = sorted(descriptors.keys() - self._called, key=self._opened.__getitem__)
        for peer in waiting[: max(0, len(descriptors) - self._soft_limit)]:
            self._end(descriptors[peer], peer)

    def _list_open(self) -> Iterator[tuple[str, int]]:
        for descriptor in _descriptors():
            with self._inspect(descriptor) as (peer, _):
                if peer is not None:
                    yield peer, descriptor

    def _end(self, descriptor: int, peer: str) -> None:
        # checked again: the descriptor may belong to another connection by now
        with self._inspect(descriptor) as (current_peer, sock):
            if current_peer == peer and sock is not None:
                sock.shutdown(socket.SHUT_RDWR)
                self._observe("evicted")

    @contextlib.contextmanager
    def _inspect(self, descriptor: int) -> Iterator[tuple[str | None, socket.socket | None]]:
        """The peer and the socket, if the descriptor is a connection of the port."""
        peer, sock = None, None
        with contextlib.suppress(OSError):  # closed in the meantime, or no such socket
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                sock = socket.socket(fileno=os.dup(descriptor))
                if sock.family in (socket.AF_INET, socket.AF_INET6):
                    is_ours = sock.getsockname()[1] == self.port
                    peer = "{}:{}".format(*sock.getpeername()) if is_ours else None
        try:
            with contextlib.suppress(OSError):
                yield _plain(peer) if peer is not None else None, sock
        finally:
            if sock is not None:
                sock.close()


def _descriptors() -> list[int]:
    return [int(entry.name) for entry in _FOLDER.iterdir()]


def _plain(peer: str) -> str:
    """Address and port in one form: `ipv6:%5B::1%5D:8` and `::ffff:1.2.3.4:8` are other forms."""
    text = unquote(peer).removeprefix("ipv4:").removeprefix("ipv6:")
    return text.replace("[", "").replace("]", "").removeprefix("::ffff:")
