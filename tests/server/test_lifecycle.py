"""A server's life: what stops it from starting, and how it ends without losing a call."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from adapterd.v1 import predictor_pb2
from adapters_registry.registry import Registry
from engine.testing.fake_engine import FakeEngine
from server.errors import BadDataDirectory, BadKeyFile, PortInUse
from server.health import Health, State
from server.main import Server
from tests.server.build import (
    Grpc,
    HeldEngine,
    channel_to,
    grpc_client,
    http_client,
    publish,
    registry_of,
    running,
    settings,
    until,
)

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["http_port", "grpc_port", "metrics_port"])
async def test_a_port_in_use_is_said_before_anything_else_happens(
    tmp_path: Path, name: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        server = Server(settings(tmp_path / "data", **{name: number}), port=FakeEngine())
        with pytest.raises(PortInUse, match=str(number)):
            await server.start()
    assert not (tmp_path / "data").exists()


async def test_two_servers_never_share_a_port(tmp_path: Path) -> None:
    async with running(tmp_path / "a") as first:
        for name in ("http_port", "grpc_port", "metrics_port"):
            number = getattr(first.ports, name.removesuffix("_port"))
            second = Server(settings(tmp_path / "b", **{name: number}), port=FakeEngine())
            with pytest.raises(PortInUse):
                await second.start()


async def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    server = Server(settings(tmp_path / "file" / "data"), port=FakeEngine())
    with pytest.raises(BadDataDirectory, match="data"):
        await server.start()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_a_read_only_data_directory_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)  # noqa: ASYNC240
    server = Server(settings(tmp_path), port=FakeEngine())
    with pytest.raises(BadDataDirectory, match="cannot be written"):
        await server.start()


async def test_a_read_only_file_system_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, data: bytes) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    server = Server(settings(tmp_path), port=FakeEngine())
    with pytest.raises(BadDataDirectory, match="Read-only file system"):
        await server.start()


async def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    server = Server(settings(tmp_path, keys_file=tmp_path / "none"), port=FakeEngine())
    with pytest.raises(BadKeyFile, match="none"):
        await server.start()


async def test_a_server_can_be_started_again_where_one_stopped(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        version = publish(registry_of(server), "mood")
        ports = server.ports
    again = {"http_port": ports.http, "grpc_port": ports.grpc, "metrics_port": ports.metrics}
    async with running(tmp_path, **again) as server, grpc_client(server) as rpc:
        assert (await rpc.predict("mood", "x")).digest == version.digest


async def test_a_draining_server_says_so_and_finishes_what_it_accepted(tmp_path: Path) -> None:
    engine = HeldEngine()
    async with (
        running(tmp_path, engine) as server,
        http_client(server) as http,
        http_client(server) as probe,  # with a connection of its own, open before the drain
    ):
        publish(registry_of(server), "mood")
        assert (await probe.get("/health/ready")).json() == {"status": "ready"}
        call = asyncio.create_task(http.post("/v1/tasks/mood/predict", json={"inputs": ["x"]}))
        await until(lambda: engine.held)
        draining = asyncio.create_task(server.drain())
        await until(lambda: server.health.is_draining)
        answer = await probe.get("/health/ready")
        assert (answer.status_code, answer.headers["connection"]) == (503, "close")
        await asyncio.sleep(0.5)
        assert not draining.done()
        engine.release_all()
        assert (await call).status_code == 200
        await draining


@pytest.mark.survival("H5")
async def test_a_server_without_its_engine_is_not_ready_until_it_is_back(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with (
        running(tmp_path, engine) as server,
        http_client(server) as http,
        grpc_client(server) as rpc,
    ):
        stub = health_pb2_grpc.HealthStub(rpc.channel)

        async def shown() -> tuple[int, str, int]:
            answer = await http.get("/health/ready")
            checked = await stub.Check(health_pb2.HealthCheckRequest())
            return answer.status_code, answer.json()["status"], checked.status

        serving = health_pb2.HealthCheckResponse
        assert await shown() == (200, "ready", serving.SERVING)
        engine.down = True
        await until(lambda: server.health.state is State.REVIVING)
        assert await shown() == (503, "reviving", serving.NOT_SERVING)
        engine.down = False
        await until(lambda: server.health.state is State.READY)
        assert await shown() == (200, "ready", serving.SERVING)


async def test_a_drain_is_not_undone_by_an_engine_that_comes_back() -> None:
    health = Health()
    await health.turn(State.DRAINING)
    await health.see_engine(is_alive=True)
    assert health.is_draining


async def test_info_says_what_this_server_is(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        info = (await http.get("/v1/info")).json()
        assert (info["base"], info["fingerprint"]) == ("fake", "f" * 64)
        assert {"version", "dtype", "threads", "kinds", "heads"} <= set(info)


def _publish_into(directory: Path) -> None:
    publish(Registry.open(directory), "mood")


@asynccontextmanager
async def process(
    directory: Path,
) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, str]]]:
    """A server process over a slow fake engine, and where it listens."""
    _publish_into(directory)
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.server.serve_fake",
        str(directory),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        assert child.stdout is not None
        lines = []
        while line := (await child.stdout.readline()).decode():
            lines.append(line)
            if found := re.search(r"HTTP on (\S+), gRPC on (\S+),", line):
                yield child, {"http": found[1], "grpc": found[2]}
                break
        else:
            raise AssertionError("".join(lines))
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


@pytest.mark.survival("H4")
async def test_sigterm_under_load_loses_no_accepted_call(tmp_path: Path) -> None:
    async with process(tmp_path) as (child, where):
        answered, refused = 0, 0

        async def over_grpc(rpc: Grpc) -> None:
            nonlocal answered, refused
            while True:
                try:
                    await rpc.predict("mood", "a text", wait_for_ready=False)
                    answered += 1
                except grpc.aio.AioRpcError as error:
                    # not accepted, and safe to send elsewhere; anything else would be a lost call
                    assert error.code() is grpc.StatusCode.UNAVAILABLE, error  # noqa: PT017
                    refused += 1
                    return

        async def over_http(http: httpx.AsyncClient) -> None:
            nonlocal answered, refused
            while True:
                try:
                    body = {"inputs": ["a text"]}
                    answer = await http.post("/v1/tasks/mood/predict", json=body)
                    assert answer.status_code == 200, answer.text
                    answered += 1
                except httpx.ConnectError:
                    refused += 1
                    return

        async with (
            channel_to(where["grpc"]) as channel,
            httpx.AsyncClient(
                base_url=f"http://{where['http']}", timeout=10.0, trust_env=False
            ) as http,
        ):
            rpc = Grpc(channel)
            callers = [asyncio.create_task(over_grpc(rpc)) for _ in range(8)]
            callers += [asyncio.create_task(over_http(http)) for _ in range(4)]
            await until(lambda: answered > 30, timeout_s=20)
            child.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                await asyncio.gather(*callers)
                assert await child.wait() == 0
        assert refused == 12


@pytest.mark.survival("H4")
async def test_a_second_sigterm_ends_the_server_at_once(tmp_path: Path) -> None:
    async with process(tmp_path) as (child, where):
        async with channel_to(where["grpc"]) as channel:
            await channel.channel_ready()
            long = predictor_pb2.PredictRequest(
                task_id="mood", inputs=[predictor_pb2.Input(text="x")] * 1000
            )
            call = Grpc(channel).predictor.Predict(long)
            await asyncio.sleep(0.1)
            child.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.05)
            child.send_signal(signal.SIGTERM)
            async with asyncio.timeout(5):
                assert await child.wait() == 1
            call.cancel()


def test_a_server_that_cannot_start_says_why_and_exits_2(tmp_path: Path) -> None:
    environment = {**os.environ, "ADAPTERD_HOST": "0.0.0.0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "server"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("adapterd cannot start: host is 0.0.0.0")


def test_the_front_door_never_imports_torch() -> None:
    code = (
        "import sys, server.main; print([n for n in ('torch', 'transformers') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
