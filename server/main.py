"""Starts, drains and stops a server: its transports over the components of `wiring`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from adapters_registry.storage.private import make_directory
from engine.port import EnginePort
from server import limits
from server.auth.authenticator import Authenticator
from server.auth.database_keys import DatabaseKeyRing
from server.auth.signed_link import LinkSigner
from server.certificates import Certificates
from server.config import Settings
from server.descriptors import ConnectionShares, descriptor_limit, raise_descriptor_limit
from server.errors import StartFailed
from server.factories import open_keys
from server.grpc_api import app as grpc_app
from server.grpc_api.calls import Calls
from server.grpc_api.connections import GrpcConnections
from server.grpc_api.interceptors import (
    AuthInterceptor,
    CallInterceptor,
    ErrorInterceptor,
    MetricsInterceptor,
)
from server.grpc_api.methods import Method
from server.health import Health, State
from server.http_api.app import build_app
from server.http_api.connections.listener import Listener, listen
from server.http_api.metrics_app import build_metrics_app
from server.metrics.metrics import Metrics
from server.wiring import Components, build
from trainer.errors import TrainerError
from trainer.sandbox.fork_server import ForkServer

_log = logging.getLogger("server")
#: requests on open connections still arrive for this long after the listeners closed
_LINGER_S = 0.3
#: how often the health of engine and trainer is checked
_LOOK_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports on which the server listens; a setting of 0 chooses a free one."""

    http: int
    grpc: int
    metrics: int


class Server:
    """One server: `start`, then `drain` or `stop`.

    The caller closes an engine port or fork server that it passes in.
    """

    def __init__(
        self,
        settings: Settings,
        port: EnginePort | None = None,
        fork_server: ForkServer | None = None,
    ) -> None:
        self._settings = settings
        self._port, self._fork_server = port, fork_server
        self._parts: Components | None = None
        self._grpc: grpc.aio.Server | None = None
        self._sockets: list[socket.socket] = []
        self._listeners: list[Listener] = []
        self._watches: list[asyncio.Task[None]] = []
        self.health = Health()
        self.metrics = Metrics(
            CollectorRegistry(),
            max_task_labels=settings.max_task_labels,
            timeout_s=settings.predict_timeout_s,
        )
        self.ports = Ports(
            http=settings.http_port, grpc=settings.grpc_port, metrics=settings.metrics_port
        )

    @property
    def parts(self) -> Components:
        if self._parts is None:
            raise StartFailed("the server is not running")
        return self._parts

    async def start(self) -> None:
        """The server is ready on return. Raises StartFailed, and releases everything then."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def drain(self) -> None:
        """Accepts no new connections, finishes every accepted call, then stops."""
        await self.health.turn(State.DRAINING)
        await asyncio.gather(*(listener.stop_accepting() for listener in self._listeners))
        # calls that still arrive are answered over HTTP with `Connection: close` and refused over
        # gRPC, so that few are in progress when the transports close
        await asyncio.sleep(_LINGER_S)
        finishing = [listener.finish() for listener in self._listeners]
        if self._grpc is not None:
            finishing.append(self._grpc.stop(self._settings.drain_s))
        await asyncio.gather(*finishing)
        await self.stop()

    async def stop(self) -> None:
        """Stops now; calls that wait fail with Draining."""
        await self.health.turn(State.DRAINING)
        for watch in self._watches:
            watch.cancel()
        if self._parts is not None:
            self._parts.dispatch.queue.close()
            self._parts.dispatch.generation_loop.close()
        if self._grpc is not None:
            await self._grpc.stop(0)
        await asyncio.gather(*(listener.finish(at_once=True) for listener in self._listeners))
        for sock in self._sockets:
            sock.close()
        self._grpc, self._listeners, self._sockets = None, [], []
        if self._parts is not None:
            parts, self._parts = self._parts, None
            await asyncio.to_thread(parts.close)

    async def _start(self) -> None:
        settings = self._settings
        shares = ConnectionShares.within(descriptor_limit(), settings.max_connections)
        keys = open_keys(settings, self.metrics.forget_tenant)
        certificates = Certificates.open(
            settings.tls_cert_file, settings.tls_key_file, settings.tls_client_ca_file
        )
        authenticator = Authenticator(keys, LinkSigner(lambda: self.parts.data.link_secret))
        # ports before the base: a port in use is reported at once, loading a base takes seconds
        for host, number in (
            (settings.host, settings.http_port),
            (settings.metrics_host, settings.metrics_port),
        ):
            self._sockets.append(listen(host, number))
        connections = GrpcConnections(shares.grpc, self.metrics.observe_connection_end)
        self.grpc_connections = connections
        # by path; filled when the services are registered, read by the interceptors
        methods: dict[str, Method] = {}
        interceptors = self._interceptors(methods, authenticator, connections)
        credentials = certificates.grpc_credentials() if certificates else None
        self._grpc, connections.port = grpc_app.bind(
            settings, shares.grpc, interceptors, credentials
        )
        http_port, metrics_port = (sock.getsockname()[1] for sock in self._sockets)
        self.ports = Ports(http=http_port, grpc=connections.port, metrics=metrics_port)
        # `/v1/info` names the port that a setting of 0 chose
        bound = settings.model_copy(update={"grpc_port": connections.port})
        self._parts = parts = await asyncio.to_thread(
            build, bound, self._port, self.metrics, self.health, self._fork_server
        )
        if isinstance(keys, DatabaseKeyRing):
            await asyncio.to_thread(keys.follow, parts.data.state.database, parts.data.news)
        grpc_app.serve(
            self._grpc, parts.service, self.health, methods,
            calls=limits.call_limits(settings),
            uploads=limits.upload_limits(settings),
            max_message_bytes=settings.max_message_bytes,
        )  # fmt: skip
        app = build_app(
            service=parts.service,
            authenticator=authenticator,
            health=self.health,
            metrics=self.metrics,
            settings=settings,
        )
        await self._grpc.start()
        self._watches.append(asyncio.create_task(connections.watch()))
        http, metrics = self._sockets
        await self._listen(app, http, shares.http, certificates)
        # without TLS: a scraper on loopback or in a private network has no certificate to show
        metrics_app = build_metrics_app(self.metrics.registry, self._refresh, self.health)
        await self._listen(metrics_app, metrics, shares.metrics, None)
        parts.data.start()
        if settings.train:
            parts.worker.start()
        await self.health.turn(State.READY)
        watches = (self._watch_parts(parts), parts.withdrawals.run())
        self._watches += [asyncio.create_task(watch) for watch in watches]

    async def _listen(
        self, app: ASGIApp, sock: socket.socket, total: int, certificates: Certificates | None
    ) -> None:
        self._listeners.append(
            await Listener.serving(
                app,
                sock,
                limits=limits.connection_limits(self._settings, total),
                observer=self.metrics,
                drain_s=self._settings.drain_s,
                context=certificates.http_context if certificates else None,
            )
        )

    def _interceptors(
        self,
        methods: Mapping[str, Method],
        authenticator: Authenticator,
        connections: GrpcConnections,
    ) -> list[CallInterceptor]:
        """The interceptors in the order of a call."""
        auth = AuthInterceptor(
            methods,
            authenticator=authenticator,
            health=self.health,
            calls=Calls(self._settings.max_concurrent_calls),
            connections=connections,
        )
        return [ErrorInterceptor(methods), MetricsInterceptor(methods, self.metrics), auth]

    async def _watch_parts(self, parts: Components) -> None:
        while True:
            problem = parts.probe.look()
            await self.health.see_engine(is_alive=parts.port.is_alive, problem=problem)
            await self.health.see_trainer(parts.worker.problem)
            await asyncio.sleep(_LOOK_S)

    async def _refresh(self) -> None:
        # other metrics are read on the event loop; only counting jobs needs the database
        if self._parts is not None:
            # a database that fails must not hide all other metrics
            with contextlib.suppress(TrainerError):
                self.metrics.count_jobs(await self._parts.service.jobs.counts())


def run(settings: Settings, port: EnginePort | None = None) -> None:
    """Serves until SIGTERM or SIGINT, then drains; a second signal ends the process at once.

    Raises StartFailed.
    """
    raise_descriptor_limit()
    os.umask(0o077)  # files are readable by the owner only
    asyncio.run(_serve(settings, port))


async def _serve(settings: Settings, port: EnginePort | None) -> None:
    stop_requested = asyncio.Event()

    def on_signal() -> None:
        if stop_requested.is_set():
            os._exit(1)  # the second signal ends the process at once
        stop_requested.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    server = Server(settings, port)
    starting = asyncio.ensure_future(server.start())
    stopping = asyncio.ensure_future(stop_requested.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        # the thread that loads the base cannot be stopped, and no call was accepted yet
        _log.info("stopped while starting", extra={"action": "server.stopped"})
        os._exit(0)  # the engine ends with its parent
    await starting
    _spool_in(settings.data_dir / "temporary")
    ports, host = server.ports, settings.host
    _log.info(
        "serving %s on %s:%d, gRPC on %s:%d, metrics on %s:%d; the base is %s, and the HTTP API is "
        "described under /docs",
        "HTTPS" if settings.tls_cert_file else "HTTP",
        *(host, ports.http, host, ports.grpc, settings.metrics_host, ports.metrics),
        settings.base,
        extra={"action": "server.ready"},
    )
    await stop_requested.wait()
    _log.info("draining", extra={"action": "server.draining"})
    await server.drain()
    _log.info("stopped", extra={"action": "server.stopped"})


def _spool_in(directory: Path) -> None:
    """Stores uploads on the disk of the data directory: /tmp is memory in many containers."""
    make_directory(directory)
    tempfile.tempdir = str(directory)
    os.putenv("TMPDIR", str(directory))  # for child processes
