"""The wall clock jumps, as it does when a machine learns the time late."""

from __future__ import annotations

import ast
import asyncio
import time
from pathlib import Path

import pytest

from tests.architecture.sources import parse, relative, source_files
from tests.server.build import HeldEngine, http_client, publish, registry_of, running, until

YEAR_S = 365 * 24 * 3600.0
WALL_CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today"}
#: dates that people are told, ages of files, and leases, which processes share
TELL_DATES = {
    "adapterd/terminal/table.py",
    "adapterd/wire/certificate_faults.py",
    "adapterd/cli/resources/keys.py",
    "adapters_registry/audit/audit_log.py",
    "adapters_registry/registry.py",
    "adapters_registry/storage/blobs.py",
    "adapters_registry/storage/directory_store.py",
    "adapters_registry/storage/host_cache.py",
    "adapters_registry/storage/shared_state.py",
    "server/http_api/openai/answering.py",
    "server/http_api/openai/fine_tuning_shape.py",
    "server/auth/database_keys.py",
    "server/auth/key_file.py",
    "server/auth/key_table.py",
    "server/auth/signed_link.py",
    "server/metrics/live_metrics.py",
    "server/wiring.py",
    "trainer/jobs/file_store.py",
    "trainer/jobs/store.py",
}


@pytest.mark.survival("G10")
async def test_a_clock_that_jumps_neither_ends_a_call_nor_keeps_it_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
        await until(lambda: server.parts.dispatch.queue.num_rows == 1)
        monkeypatch.setattr(time, "time", lambda: true() + YEAR_S)
        engine.release_all()
        assert await asyncio.gather(*calls) == [200, 200]
        engine.is_holding = True
        late = asyncio.create_task(call())
        await until(lambda: engine.held)
        monkeypatch.setattr(time, "time", lambda: true() - YEAR_S)
        assert await late == 504
        engine.release_all()


@pytest.mark.survival("G10")
def test_only_what_tells_dates_or_shares_leases_reads_the_wall_clock() -> None:
    readers = {
        relative(path)
        for path in source_files()
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and f"{node.value.id}.{node.attr}" in WALL_CLOCKS
    }
    assert readers == TELL_DATES
