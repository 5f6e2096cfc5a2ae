"""The wall clock jumps, as it does when a machine learns the time late."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.server.build import HeldEngine, http_client, publish, registry_of, running, until

YEAR_S = 365 * 24 * 3600.0


@pytest.mark.survival("G10")
@pytest.mark.parametrize("jump_s", [YEAR_S, -YEAR_S])
async def test_a_clock_that_jumps_neither_ends_a_call_nor_keeps_it_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    true = time.time
    engine = HeldEngine()
    async with (
        running(tmp_path, engine, predict_timeout_s=1.5, ahead_tokens=10_000) as server,
        http_client(server) as http,
    ):
        publish(registry_of(server), "mood")

        async def call() -> int:
            body = {"inputs": ["x"]}
            return (await http.post("/v1/tasks/mood/predict", json=body)).status_code

        calls = [asyncio.create_task(call())]
        await until(lambda: engine.held)
        calls.append(asyncio.create_task(call()))
        await until(lambda: server.parts.dispatch.room.num_rows == 1)
        monkeypatch.setattr(time, "time", lambda: true() + jump_s)
        engine.release_all()
        assert await asyncio.gather(*calls) == [200, 200]
        engine.is_holding = True
        assert await call() == 504
        engine.release_all()
