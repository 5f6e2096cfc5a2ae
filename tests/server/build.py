"""Small real objects for the server's tests: a server over the fake engine, an engine that waits to
be told.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx

from adapterd.v1 import (
    adapters_pb2_grpc,
    jobs_pb2_grpc,
    predictor_pb2,
    predictor_pb2_grpc,
    tasks_pb2_grpc,
)
from adapters_registry.registry import Registry
from adapters_registry.values import Version
from engine import port
from engine.testing.fake_engine import FakeEngine, write_fake_adapter
from server.config import Settings
from server.main import Server
from server.wiring import CHILD_MODULES
from trainer.sandbox.fork_server import ForkServer


@dataclass
class HeldEngine:
    """A fake engine whose predict steps wait for `release`, so that tests can stand between
    batches.
    """

    inner: FakeEngine = field(default_factory=FakeEngine)
    held: list[tuple[Future[port.Result], Any]] = field(default_factory=list)
    is_holding: bool = True
    holds: tuple[type, ...] = (port.Predict,)

    @property
    def info(self) -> port.EngineInfo:
        return self.inner.info

    @property
    def generation(self) -> int:
        return self.inner.generation

    @property
    def pid(self) -> int:
        return self.inner.pid

    @property
    def is_alive(self) -> bool:
        return self.inner.is_alive

    @property
    def steps(self) -> list[port.Step]:
        return self.inner.steps

    def submit(self, step: port.Step) -> Future[port.Result]:
        if not isinstance(step, self.holds) or not self.is_holding:
            return self.inner.submit(step)
        future: Future[port.Result] = Future()
        self.held.append((future, step))
        return future

    def release(self) -> None:
        """Answer the oldest step that waits."""
        future, step = self.held.pop(0)
        done = self.inner.submit(step)
        error = done.exception()
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(done.result())

    def release_all(self) -> None:
        self.is_holding = False
        while self.held:
            self.release()

    def die(self, error: Exception) -> None:
        """As a crash: everything loaded is gone, and steps in flight fail."""
        self.inner.die()
        held, self.held = self.held, []
        for future, _ in held:
            future.set_exception(error)

    def close(self) -> None:
        self.inner.close()


def settings(directory: Path, **changes: Any) -> Settings:
    values = {
        "data_dir": directory,
        "http_port": 0,
        "grpc_port": 0,
        "metrics_port": 0,
        "train": False,
    }
    return Settings(**{**values, "drain_s": 5.0, **changes})


@functools.cache
def shared_fork_server() -> ForkServer:
    """One for all servers of a test run: each of its own would load its modules again."""
    made = ForkServer(CHILD_MODULES)
    atexit.register(made.close)
    return made


@asynccontextmanager
async def running(directory: Path, engine: Any = None, **changes: Any) -> AsyncIterator[Server]:
    server = Server(
        settings(directory, **changes),
        port=engine or FakeEngine(),
        fork_server=shared_fork_server(),
    )
    await server.start()
    try:
        yield server
    finally:
        if isinstance(engine, HeldEngine):
            engine.release_all()
        await server.stop()


def publish(
    registry: Registry,
    task: str,
    *,
    seed: int = 0,
    tenant: str = "default",
    promote: bool = False,
    base: dict[str, str] | None = None,
    lineage: dict[str, Any] | None = None,
    beside: dict[str, bytes] | None = None,
    **adapter: Any,
) -> Version:
    """A version of the task; every seed is another digest."""
    engine = FakeEngine()
    with registry.stage() as staging:
        write_fake_adapter(staging.path, seed=seed, **adapter)
        found = engine.submit(port.Inspect(directory=str(staging.path))).result()
        assert isinstance(found, port.Inspected)
        return registry.publish(
            tenant=tenant,
            task=task,
            staging=staging,
            kind=found.semantics["kind"],
            base=base or {"fingerprint": engine.info.fingerprint, "name": "fake"},
            files=found.files,
            semantics=found.semantics,
            lineage=lineage or {},
            beside=beside,
            source="upload",
            num_parameters=found.num_parameters,
            promote=promote,
        ).version


class Grpc:
    """The four stubs over one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.predictor = predictor_pb2_grpc.PredictorStub(channel)
        self.tasks = tasks_pb2_grpc.TasksStub(channel)
        self.adapters = adapters_pb2_grpc.AdaptersStub(channel)
        self.jobs = jobs_pb2_grpc.JobsStub(channel)

    async def predict(self, ref: str, *texts: str, **options: Any) -> predictor_pb2.PredictResponse:
        request = predictor_pb2.PredictRequest(
            task_id=ref, inputs=[predictor_pb2.Input(text=text) for text in texts]
        )
        response: predictor_pb2.PredictResponse = await self.predictor.Predict(request, **options)
        return response


def channel_to(target: str) -> grpc.aio.Channel:
    """Past any proxy this machine may have."""
    return grpc.aio.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)])


@asynccontextmanager
async def grpc_client(server: Server) -> AsyncIterator[Grpc]:
    async with channel_to(f"127.0.0.1:{server.ports.grpc}") as channel:
        yield Grpc(channel)


def http_client(server: Server, key: str | None = None) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{server.ports.http}",
        headers=headers,
        timeout=10.0,
        trust_env=False,
    )


def registry_of(server: Server) -> Registry:
    return server.parts.data.registry


async def until(condition: Any, timeout_s: float = 5.0) -> None:
    """Wait for something that happens on the event loop."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 any condition, not one that could ring
            await asyncio.sleep(0.005)
