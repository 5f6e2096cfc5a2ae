"""A server is ready while its engine computes, and says so where it does not; what the trainer
meets is shown beside it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from adapters_registry.storage.shared_state import DATABASE_FILE
from engine import port
from engine.config import EngineConfig
from engine.errors import EngineError
from engine.runtime.supervisor import SupervisedEngine
from engine.testing.fake_engine import FakeEngine
from server.engine_health.probe import EngineProbe
from server.engine_health.watched_port import WatchedPort
from server.health import State
from tests.contracts.tiny import build_base
from tests.server.build import HeldEngine, grpc_client, http_client, publish, registry_of, running
from tests.server.build import until as until_soon

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
ROOT = Path(__file__).parents[2]


async def until(condition: Any) -> None:
    await until_soon(condition, timeout_s=20.0)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def probed(engine: Any, clock: Clock) -> tuple[WatchedPort, EngineProbe]:
    watched = WatchedPort(engine, clock)
    return watched, EngineProbe(watched, [1, 2], bound_s=8.0)


@pytest.mark.survival("H6")
def test_an_engine_that_stands_still_is_found_out_within_the_bound_and_believed_again() -> None:
    engine, clock = HeldEngine(), Clock()
    _, probe = probed(engine, clock)
    assert probe.look() is None
    clock.now = 2.0
    assert probe.look() is None
    assert len(engine.held) == 1  # a row through the bare base
    assert engine.held[0][1].rows[0].slot == 0
    clock.now = 8.0
    assert probe.look() is None
    clock.now = 8.1
    assert probe.look() == "the engine has not answered for 6 s"
    assert len(engine.held) == 1
    engine.release()
    assert probe.look() is None


@pytest.mark.survival("H6")
def test_traffic_proves_the_engine_and_asks_it_for_nothing_more() -> None:
    engine, clock = FakeEngine(), Clock()
    watched, probe = probed(engine, clock)
    for _ in range(20):
        clock.now += 1.0
        watched.submit(port.Stats())
        assert probe.look() is None
    assert {type(step) for step in engine.steps} == {port.Stats}


def test_calls_that_are_never_answered_give_the_engine_away_too() -> None:
    engine, clock = HeldEngine(), Clock()
    watched, probe = probed(engine, clock)
    clock.now = 100.0
    watched.submit(port.Predict(rows=[]))
    assert probe.look() is None
    clock.now = 107.0
    assert "has not answered for 7 s" in str(probe.look())


def test_an_engine_that_computes_while_it_reads_for_long_is_well() -> None:
    engine, clock = HeldEngine(is_holding=False), Clock()
    watched, probe = probed(SlowReads(engine), clock)
    watched.submit(port.Inspect(directory="of a slow disk"))
    for clock.now in range(60):
        assert probe.look() is None
    assert len(engine.steps) >= 20


class SlowReads:
    """Never answers what reads a file."""

    def __init__(self, engine: HeldEngine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def submit(self, step: port.Step) -> Future[port.Result]:
        return Future() if isinstance(step, port.Inspect) else self._engine.submit(step)


def test_a_caller_who_gives_up_is_no_answer_of_the_engine() -> None:
    engine, clock = HeldEngine(), Clock()
    watched, _ = probed(engine, clock)
    first, second = (watched.submit(port.Predict(rows=[])) for _ in range(2))
    clock.now = 5.0
    assert first.cancel()
    assert watched.silent_s == 5.0
    second.set_result(port.Done())
    assert (watched.silent_s, watched.idle_s) == (0.0, 0.0)


@pytest.mark.parametrize("failure", ["raised", "told of the row"])
def test_an_engine_that_answers_and_cannot_compute_is_not_ready(failure: str) -> None:
    engine, clock = FakeEngine(), Clock()
    _, probe = probed(engine, clock)
    if failure == "raised":
        engine.broken[port.Predict] = EngineError("no kernel")
    else:
        engine.poison = 1
    clock.now = 3.0
    probe.look()
    assert "cannot compute" in str(probe.look())
    engine.broken, engine.poison = {}, None
    probe.look()
    assert probe.look() is None


@pytest.mark.survival("H6")
async def test_a_stopped_engine_makes_the_server_unready_until_it_goes_on(tmp_path: Path) -> None:
    engine = HeldEngine()
    async with (
        running(tmp_path, engine, engine_timeout_s=0.4) as server,
        http_client(server) as http,
        grpc_client(server) as rpc,
    ):
        health = health_pb2_grpc.HealthStub(rpc.channel)
        await until(lambda: server.health.state is State.STALLED)
        answer = await http.get("/health/ready")
        assert answer.status_code == 503
        assert answer.json()["status"] == "stalled"
        assert "has not answered" in answer.json()["reason"]
        assert (await http.get("/health/live")).json() == {"status": "live"}
        # probes without a certificate ask the metrics port
        probe = f"http://127.0.0.1:{server.ports.metrics}/health/ready"
        assert (await http.get(probe)).status_code == 503
        assert (await http.get(probe)).json() == answer.json()
        checked = await health.Check(health_pb2.HealthCheckRequest())
        assert checked.status == NOT_SERVING
        engine.release_all()
        await until(lambda: server.health.state is State.READY)
        assert (await http.get("/health/ready")).json() == {"status": "ready"}


@pytest.mark.slow
@pytest.mark.survival("H6")
async def test_sigstop_of_a_real_engine_shows_in_readiness_and_sigcont_too(tmp_path: Path) -> None:
    base = build_base("bert", tmp_path / "base")
    config = EngineConfig(base=str(base), dtype="float32", threads=1, num_slots=4)
    engine = await asyncio.to_thread(SupervisedEngine, config)
    try:
        async with (
            running(tmp_path / "data", engine, engine_timeout_s=4.0) as server,
            http_client(server) as http,
        ):
            await asyncio.sleep(5.0)  # probes alone keep it ready
            assert (await http.get("/health/ready")).status_code == 200
            os.kill(engine.pid, signal.SIGSTOP)
            stopped = time.monotonic()
            await until(lambda: server.health.state is State.STALLED)
            assert time.monotonic() - stopped < 10
            assert (await http.get("/health/ready")).status_code == 503
            os.kill(engine.pid, signal.SIGCONT)
            await until(lambda: server.health.state is State.READY)
    finally:
        await asyncio.to_thread(engine.close)


@pytest.mark.survival("H5")
async def test_a_trainer_that_cannot_run_jobs_is_shown_with_the_reason_and_makes_nothing_unready(
    tmp_path: Path,
) -> None:
    async with (
        running(tmp_path, train=True) as server,
        http_client(server) as http,
        grpc_client(server) as rpc,
    ):
        publish(registry_of(server), "mood")
        health = health_pb2_grpc.HealthStub(rpc.channel)

        async def checked(service: str) -> int:
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
            return int(answer.status)

        assert await checked("adapterd.v1.Jobs") == SERVING
        with sqlite3.connect(tmp_path / DATABASE_FILE) as db:
            db.execute("ALTER TABLE jobs RENAME TO jobs_gone")
        db.close()
        server.parts.worker._trainer.submitted.set()
        await until(lambda: server.health.trainer is not None)
        answer = await http.get("/health/ready")
        assert (answer.status_code, answer.json()["status"]) == (200, "ready")
        assert answer.json()["trainer"].startswith("storage_failed: ")
        assert await checked("adapterd.v1.Jobs") == NOT_SERVING
        assert await checked("adapterd.v1.Predictor") == await checked("") == SERVING
        assert (await rpc.predict("mood", "x")).version == 1
        scraped = await http.get(f"http://127.0.0.1:{server.ports.metrics}/metrics")
        assert scraped.status_code == 200
        assert "adapterd_trainer_up 0.0" in scraped.text
        with sqlite3.connect(tmp_path / DATABASE_FILE) as db:
            db.execute("ALTER TABLE jobs_gone RENAME TO jobs")
        db.close()
        await until(lambda: server.health.trainer is None)
        assert (await http.get("/health/ready")).json() == {"status": "ready"}
        assert server.metrics.registry.get_sample_value("adapterd_trainer_up") == 1.0


@pytest.mark.slow
@pytest.mark.survival("H4")
def test_sigterm_while_the_base_loads_ends_the_server_at_once(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "import server.wiring as wiring\n"
        "from server.main import run\n"
        "from tests.server.build import settings\n"
        "wiring.start_engine = lambda settings: (print('loading', flush=True), time.sleep(600))\n"
        "run(settings(Path(sys.argv[1])))\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"loading\n"
    child.send_signal(signal.SIGTERM)
    assert child.wait(10) == 0
    child.stdout.close()
