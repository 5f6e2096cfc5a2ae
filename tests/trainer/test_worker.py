"""The worker's thread: it takes up what waits, and gives back what it must leave."""

from __future__ import annotations

import time
from pathlib import Path

from tests.trainer.build import TENANT, Bench, jsonl, mood_rows
from tests.trainer.test_trainer import Slow, assert_clean
from trainer.jobs import Status
from trainer.worker import Worker


def test_a_worker_runs_jobs_as_they_come(bench: Bench) -> None:
    worker = Worker(bench.trainer)
    worker.start()
    jobs = [
        bench.trainer.submit(bench.spec(jsonl(mood_rows()), task=f"mood-{i}")) for i in range(2)
    ]
    for job in jobs:
        assert list(bench.trainer.watch(TENANT, job.id))[-1].status is Status.SUCCEEDED
    worker.stop()


def test_a_worker_that_stops_gives_its_job_back_without_counting_the_attempt(
    tmp_path: Path,
) -> None:
    bench = Bench(directory=tmp_path, port=Slow())
    assert isinstance(bench.port, Slow)
    worker = Worker(bench.trainer)
    worker.start()
    settings = {"epochs": 200, "patience": 200}
    job = bench.trainer.submit(bench.spec(jsonl(mood_rows()), settings=settings))
    bench.port.begun.wait(10)
    started = time.monotonic()
    worker.stop()
    assert time.monotonic() - started < 5
    seen = bench.trainer.get(TENANT, job.id)
    assert (seen.status, seen.attempt) == (Status.QUEUED, 0)
    assert_clean(bench)
    bench.close()


def test_a_worker_that_never_started_stops_too(bench: Bench) -> None:
    Worker(bench.trainer).stop()
