"""The gRPC service `grpc.health.v1.Health`. It needs no key, so it limits its streams itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any

from grpc_health.v1 import health_pb2

from adapterd.v1 import jobs_pb2
from server.errors import Draining, TooManyCalls, UnknownService
from server.health import Health, State

_Status = health_pb2.HealthCheckResponse
_List: Any = health_pb2.HealthListResponse  # type: ignore[attr-defined]  # newer than its types
#: the service that is not serving while no job can run here
_JOBS = jobs_pb2.DESCRIPTOR.services_by_name["Jobs"].full_name


class HealthApi:
    """One state for all services of the server, except that the jobs service is also not serving
    while no job can run here.

    Beyond `most_watches` streams, the connection with most of them loses its oldest, so that one
    caller cannot keep out another.
    """

    def __init__(self, health: Health, services: Iterable[str], most_watches: int) -> None:
        self._health = health
        self._services = frozenset(("", *services))
        self._most_watches = most_watches
        self._watches: dict[str, dict[_Watch, None]] = {}
        health.on_change.append(self._notify)

    async def check(
        self, request: health_pb2.HealthCheckRequest, peer: str
    ) -> health_pb2.HealthCheckResponse:
        del peer
        if request.service not in self._services:
            raise UnknownService(f"There is no service {request.service[:64]!r}.")
        return self._response(request.service)

    async def list(self, request: object, peer: str) -> Any:
        del request, peer
        return _List(statuses={name: self._response(name) for name in sorted(self._services)})

    async def watch(
        self, request: health_pb2.HealthCheckRequest, peer: str
    ) -> AsyncGenerator[health_pb2.HealthCheckResponse, None]:
        """Sends each change. Raises TooManyCalls if evicted, and Draining when the server stops."""
        watch = self._enter(peer)
        last_sent = None
        try:
            while not watch.is_evicted:
                response = self._response(request.service)
                if request.service not in self._services:
                    response = _Status(status=_Status.SERVICE_UNKNOWN)
                if response.status != last_sent:
                    last_sent = response.status
                    yield response
                if self._health.is_draining:
                    raise Draining
                await watch.changed.wait()
                watch.changed.clear()
            raise TooManyCalls("Too many streams watch this server's health.")
        finally:
            self._leave(peer, watch)

    def _response(self, service: str) -> health_pb2.HealthCheckResponse:
        is_ready = self._health.state is State.READY
        if service == _JOBS and self._health.trainer is not None:
            is_ready = False
        return _Status(status=_Status.SERVING if is_ready else _Status.NOT_SERVING)

    def _enter(self, peer: str) -> _Watch:
        watch = _Watch()
        self._watches.setdefault(peer, {})[watch] = None
        if sum(map(len, self._watches.values())) > self._most_watches:
            most = max(self._watches, key=lambda holder: len(self._watches[holder]))
            oldest = next(iter(self._watches[most]))
            oldest.is_evicted = True
            oldest.changed.set()
            self._leave(most, oldest)
        return watch

    def _leave(self, peer: str, watch: _Watch) -> None:
        watches = self._watches.get(peer, {})
        watches.pop(watch, None)
        if not watches:
            self._watches.pop(peer, None)

    async def _notify(self, state: State) -> None:
        del state  # each watch reads it when it sends
        for watches in self._watches.values():
            for watch in watches:
                watch.changed.set()


class _Watch:
    """One stream, and whether there is a change to send."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.is_evicted = False
