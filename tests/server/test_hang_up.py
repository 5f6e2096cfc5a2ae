"""Callers who leave, and calls whose time is over: their rows, blocks and slots are free within a
step, over every transport.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from adapterd.v1 import predictor_pb2
from engine import port
from engine.testing.fake_engine import FakeEngine
from server.main import Server
from tests.server.build import grpc_client, http_client, publish, registry_of, running, until

PLAIN = {"kind": "generate", "format": "plain", "max_tokens": 200}
TEXT = "x" * 120


@dataclass(slots=True)
class SteppingEngine(FakeEngine):
    """Answers each step that writes when it is told to, and counts those it was told to."""

    waiting: list[tuple[Future[port.Result], port.Generate]] = field(default_factory=list)
    num_told: int = 0

    def submit(self, step: port.Step) -> Future[port.Result]:
        if not isinstance(step, port.Generate):
            return FakeEngine.submit(self, step)
        future: Future[port.Result] = Future()
        self.waiting.append((future, step))
        return future

    def tell(self) -> None:
        future, step = self.waiting.pop(0)
        self.num_told += 1
        future.set_result(FakeEngine.submit(self, step).result())

    async def go_on(self, num_steps: int) -> None:
        for _ in range(num_steps):
            await until(lambda: self.waiting)
            self.tell()


@asynccontextmanager
async def written(directory: Path) -> AsyncIterator[tuple[Server, SteppingEngine]]:
    engine = SteppingEngine()
    async with running(directory, engine) as server:
        publish(registry_of(server), "draft", head=PLAIN)
        yield server, engine
        while engine.waiting:
            engine.tell()
            await asyncio.sleep(0.01)


async def assert_free_within_a_step(server: Server, engine: SteppingEngine) -> None:
    told = engine.num_told
    await asyncio.sleep(0.05)  # for the news to come over the wire
    if engine.waiting:
        engine.tell()
    await until(lambda: not server.parts.dispatch.generation_loop.sequences)
    resident = engine.submit(port.Stats()).result()
    assert isinstance(resident, port.EngineStats)
    assert resident.running == []
    assert resident.used_blocks == 0
    assert server.parts.dispatch.slots.num_leases == 0
    assert server.parts.dispatch.residency.num_leases == 0
    assert engine.num_told <= told + 1


async def stream_http(server: Server) -> None:
    body = {"model": "draft", "prompt": TEXT, "stream": True, "max_tokens": 200}
    async with http_client(server) as http:
        async with http.stream("POST", "/v1/completions", json=body) as answer:
            async for _ in answer.aiter_raw():
                pass


async def unary_http(server: Server) -> None:
    body = {"model": "draft", "prompt": TEXT, "max_tokens": 200}
    async with http_client(server) as http:
        await http.post("/v1/completions", json=body)


async def native_http(server: Server) -> None:
    async with http_client(server) as http:
        await http.post("/v1/tasks/draft/predict", json={"inputs": [TEXT]})


def request() -> predictor_pb2.PredictRequest:
    return predictor_pb2.PredictRequest(
        task_id="draft", inputs=[predictor_pb2.Input(text=TEXT), predictor_pb2.Input(text=TEXT)]
    )


async def stream_grpc(server: Server) -> None:
    async with grpc_client(server) as rpc:
        async for _ in rpc.predictor.PredictStream(request()):
            pass


async def unary_grpc(server: Server) -> None:
    async with grpc_client(server) as rpc:
        await rpc.predictor.Predict(request())


@pytest.mark.survival("C10", "E3")
@pytest.mark.parametrize("call", [stream_http, unary_http, native_http, stream_grpc, unary_grpc])
@pytest.mark.parametrize("num_steps", [0, 3])
async def test_a_caller_who_hangs_up_frees_everything_within_a_step(
    tmp_path: Path, call: Callable[[Server], Coroutine[Any, Any, None]], num_steps: int
) -> None:
    async with written(tmp_path) as (server, engine):
        calling = asyncio.create_task(call(server))
        await engine.go_on(num_steps)
        await until(lambda: engine.waiting)
        calling.cancel()
        await asyncio.wait([calling])
        await assert_free_within_a_step(server, engine)


@pytest.mark.survival("C10")
async def test_a_deadline_that_passes_frees_everything_within_a_step(tmp_path: Path) -> None:
    async with written(tmp_path) as (server, engine), grpc_client(server) as rpc:
        reading = rpc.predictor.PredictStream(request(), timeout=0.3)
        calling = asyncio.create_task(collect(reading))
        await engine.go_on(3)
        # client and server have the same deadline: the client gives up, or the server's last piece
        # arrives just before it does
        await asyncio.wait([calling])
        error = calling.exception()
        if isinstance(error, grpc.aio.AioRpcError):
            assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        else:
            assert calling.result()[-1].finish_reason == "length"
        await assert_free_within_a_step(server, engine)


async def test_a_call_without_a_deadline_is_ended_by_the_servers_own(tmp_path: Path) -> None:
    engine = SteppingEngine()
    async with running(tmp_path, engine, predict_timeout_s=0.3) as server:
        publish(registry_of(server), "draft", head=PLAIN)
        async with http_client(server) as http:
            body = {"model": "draft", "prompt": TEXT, "stream": True}
            calling = asyncio.create_task(http.post("/v1/completions", json=body))
            await engine.go_on(3)
            started = time.monotonic()
            text = (await calling).text
        assert time.monotonic() - started < 2
        # what was written until then is the answer
        assert '"finish_reason":"length"' in text
        assert text.splitlines()[-2] == "data: [DONE]"
        await assert_free_within_a_step(server, engine)


async def test_a_native_call_ends_at_the_servers_deadline_with_what_was_generated(
    tmp_path: Path,
) -> None:
    engine = SteppingEngine()
    async with running(tmp_path, engine, predict_timeout_s=0.3) as server:
        publish(registry_of(server), "draft", head=PLAIN)
        async with http_client(server) as http:
            body = {"inputs": [TEXT]}
            calling = asyncio.create_task(http.post("/v1/tasks/draft/predict", json=body))
            await engine.go_on(3)
            [output] = (await calling).json()["outputs"]
        assert output["finish_reason"] == "length"
        assert output["usage"]["completion_tokens"] == 3
        await assert_free_within_a_step(server, engine)


async def test_a_call_that_is_late_before_its_first_token_is_refused_by_status(
    tmp_path: Path,
) -> None:
    engine = SteppingEngine()
    async with running(tmp_path, engine, predict_timeout_s=0.2) as server:
        publish(registry_of(server), "draft", head=PLAIN)
        async with http_client(server) as http:
            body = {"model": "draft", "prompt": TEXT, "stream": True}
            answer = await http.post("/v1/completions", json=body)
        assert answer.status_code == 504
        assert answer.headers["x-should-retry"] == "false"
        await assert_free_within_a_step(server, engine)


async def collect(stream: Any) -> list[Any]:
    return [message async for message in stream]
