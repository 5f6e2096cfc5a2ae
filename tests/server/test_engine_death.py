"""A whole server over a real engine in a child process, which is killed under load."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import grpc
import pytest

from engine.config import EngineConfig
from engine.runtime.supervisor import SupervisedEngine
from server.health import State
from tests.contracts.tiny import build_base
from tests.engine.rows import open_training, save
from tests.server.build import Grpc, grpc_client, running, until
from tests.server.test_adapters import messages

NUM_CALLERS = 6
RETRYABLE = grpc.StatusCode.UNAVAILABLE


async def call_until(rpc: Grpc, stop: asyncio.Event, outcomes: list[grpc.StatusCode]) -> None:
    while not stop.is_set():
        try:
            await rpc.predict("mood", "w1 w2 w3", timeout=60)
            outcomes.append(grpc.StatusCode.OK)
        except grpc.aio.AioRpcError as error:
            outcomes.append(error.code())
            await asyncio.sleep(0.05)


@pytest.mark.survival("H5")
async def test_a_killed_engine_costs_retryable_answers_at_most_and_comes_back(
    tmp_path: Path,
) -> None:
    base = build_base("bert", tmp_path / "base")
    config = EngineConfig(base=str(base), dtype="float32", threads=1, num_slots=4)
    engine = await asyncio.to_thread(SupervisedEngine, config)
    try:
        save(engine, open_training(engine), tmp_path / "adapter")
        async with running(tmp_path / "data", engine) as server, grpc_client(server) as rpc:
            await rpc.adapters.Register(messages(tmp_path / "adapter", task_id="mood"))
            outcomes: list[grpc.StatusCode] = []
            stop = asyncio.Event()
            callers = [
                asyncio.create_task(call_until(rpc, stop, outcomes)) for _ in range(NUM_CALLERS)
            ]
            await until(lambda: len(outcomes) > 20, timeout_s=20)
            os.kill(engine.pid, signal.SIGKILL)
            await until(lambda: server.health.state is State.REVIVING)
            await until(lambda: server.health.state is State.READY, timeout_s=40)
            num_before = len(outcomes)
            await until(lambda: outcomes[num_before:].count(grpc.StatusCode.OK) > 20, timeout_s=20)
            stop.set()
            await asyncio.gather(*callers)
        assert set(outcomes) <= {grpc.StatusCode.OK, RETRYABLE}
        assert outcomes[-1] is grpc.StatusCode.OK
    finally:
        await asyncio.to_thread(engine.close)
