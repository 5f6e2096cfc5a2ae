"""A whole server over the shipped fake engine, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapterd import Client
from engine.port import EnginePort
from engine.testing.fake_engine import FakeEngine
from server.config import Settings
from server.main import Ports, Server
from tests.server.build import shared_fork_server


class RunningServer:
    """Started in the constructor, stopped by `stop`."""

    def __init__(self, settings: Settings, port: EnginePort | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = Server(settings, port=port or FakeEngine(), fork_server=shared_fork_server())
        self._run(self._server.start())

    @property
    def ports(self) -> Ports:
        return self._server.ports

    def stop(self) -> None:
        self._run(self._server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, coroutine: object) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("data"), http_port=0, grpc_port=0, metrics_port=0
    )
    running = RunningServer(settings)
    yield running
    running.stop()


@pytest.fixture
def environment(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable by which clients find this server."""
    monkeypatch.setenv("ADAPTERD_URL", f"http://127.0.0.1:{server.ports.http}")
    monkeypatch.delenv("ADAPTERD_GRPC", raising=False)
    monkeypatch.delenv("ADAPTERD_API_KEY", raising=False)


@pytest.fixture
def client(environment: None) -> Iterator[Client]:
    with Client() as client:
        yield client


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes that a bag of words tells apart."""
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    good = [f"good fine lovely thing number {n}" for n in range(30)]
    bad = [f"bad sad awful thing number {n}" for n in range(30)]
    lines = [f"{text},good" for text in good] + [f"{text},bad" for text in bad]
    path.write_text("text,label\n" + "\n".join(lines) + "\n")
    return path
