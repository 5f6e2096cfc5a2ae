"""Many more adapters than are held at once, asked for in ever changing order."""

from __future__ import annotations

import asyncio
import gc
import os
import pathlib
import tracemalloc
from pathlib import Path

import numpy as np
import psutil
import pytest

from engine.testing.fake_engine import FakeEngine
from server.main import Server
from tests.server.build import Grpc, grpc_client, publish, registry_of, running
from tests.server.test_metrics import scrape

NUM_ADAPTERS = 700
#: of 2 kB each; a MiB of them is held
HOST_BYTES = 2**20
MAX_GROWTH_BYTES = 2**20


async def ask(rpc: Grpc, tasks: list[int]) -> None:
    for start in range(0, len(tasks), 32):
        calls = [rpc.predict(f"t{task}", "x") for task in tasks[start : start + 32]]
        answers = await asyncio.gather(*calls)
        assert [f"t{task}" for task in tasks[start : start + 32]] == [a.task_id for a in answers]


async def held(server: Server, engine: FakeEngine) -> tuple[int, int, int]:
    """Bytes of Python objects, descriptors, and lines of metrics."""
    engine.steps.clear()
    lines = len((await scrape(server)).splitlines())
    gc.collect()
    process = psutil.Process(os.getpid())
    # pathlib interns the parts of paths, in a table of the whole process that grows in large steps
    others = tracemalloc.take_snapshot().filter_traces(
        [tracemalloc.Filter(inclusive=False, filename_pattern=pathlib.__file__)]
    )
    return sum(trace.size for trace in others.traces), process.num_fds(), lines


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.survival("E9")
async def test_adapters_that_come_and_go_leave_memory_descriptors_and_series_as_they_were(
    tmp_path: Path,
) -> None:
    engine = FakeEngine(num_slots=5)
    random = np.random.default_rng(0)
    async with (
        running(tmp_path, engine, host_bytes=HOST_BYTES, max_task_labels=50) as server,
        grpc_client(server) as rpc,
    ):
        for number in range(NUM_ADAPTERS):
            publish(registry_of(server), f"t{number}", seed=number)
        residency = server.parts.dispatch.residency
        await ask(rpc, list(range(NUM_ADAPTERS)))
        tracemalloc.start()
        try:
            seen = []
            for _ in range(4):
                ranks = random.zipf(1.2, 1000) % NUM_ADAPTERS
                await ask(rpc, list(random.permutation(NUM_ADAPTERS)[ranks]))
                seen.append(await held(server, engine))
                assert residency.num_bytes <= HOST_BYTES
                assert len(engine.loaded) == residency.num_resident < NUM_ADAPTERS
                assert len(engine.placed) <= 5
                assert residency.num_leases == 0
        finally:
            tracemalloc.stop()
    (_, *first), *_ = seen
    assert all(rest == first for _, *rest in seen)
    # what was traced since the start; the first round fills what is bounded
    assert seen[-1][0] - seen[1][0] < MAX_GROWTH_BYTES, seen
