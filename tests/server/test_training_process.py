"""The process that a server's jobs run in: when there is one, and how it is kept running."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.config import EngineConfig
from engine.port import EngineInfo
from engine.runtime.in_thread import ThreadEngine
from engine.testing.fake_engine import FakeEngine
from server.errors import StartFailed
from server.training.training_child import Reports
from server.training.training_process import TrainingProcess, needs_training_process, next_device
from tests.contracts.tiny import build_base
from tests.server.build import settings
from tests.trainer.build import TENANT, TrainerEnv, jsonl
from trainer.jobs.states import Status

INFO = FakeEngine().info
ROWS = jsonl(
    {"text": f"{words} w{10 + i}", "label": label}
    for i in range(30)
    for label, words in (("glad", "w1 w2 w3"), ("sad", "w4 w5 w6"))
)


def info(**changes: Any) -> EngineInfo:
    return EngineInfo(**{**{f: getattr(INFO, f) for f in INFO.__struct_fields__}, **changes})


def until(true: Callable[[], bool], timeout_s: float = 60) -> None:
    give_up = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("chosen", "machine", "apart"),
    [
        ("auto", {"num_cores": 2}, False),
        ("auto", {"num_cores": 3}, True),
        ("auto", {"num_cores": 2, "num_devices": 2}, True),
        ("own", {"num_cores": 1}, True),
        ("shared", {"num_cores": 64, "num_devices": 8}, False),
    ],
)
def test_jobs_run_apart_on_more_than_two_cores_or_devices_unless_somebody_chose(
    tmp_path: Path, chosen: str, machine: dict[str, int], *, apart: bool
) -> None:
    chosen_settings = settings(tmp_path, training_engine=chosen)
    assert needs_training_process(chosen_settings, info(**machine)) is apart


@pytest.mark.parametrize(
    ("device", "num_devices", "chosen"),
    [("cpu", 1, "cpu"), ("cuda:0", 1, "cuda:0"), ("cuda:0", 2, "cuda:1"), ("cuda:1", 2, "cuda:0")],
)
def test_the_process_is_on_another_device_where_there_is_one(
    device: str, num_devices: int, chosen: str
) -> None:
    assert next_device(info(device=device, num_devices=num_devices)) == chosen


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[[str], TrainingProcess]]:
    """A training process whose child runs the given code instead."""
    made: list[TrainingProcess] = []

    def start(code: str) -> TrainingProcess:
        made.append(
            TrainingProcess(
                settings(tmp_path), INFO, command=(sys.executable, "-c", code), first_pause_s=0.01
            )
        )
        made[-1].start()
        return made[-1]

    yield start
    for each in made:
        each.stop()


def test_what_keeps_the_child_from_running_jobs_is_told(
    started: Callable[[str], TrainingProcess],
) -> None:
    report = '{"problem": "storage_full: the disk is full", "new_failures": 3}'
    process = started(f"import sys; print('{report}', flush=True); sys.stdin.buffer.read()")
    until(lambda: process.problem is not None)
    assert (process.problem, process.num_failures) == ("storage_full: the disk is full", 3)


def test_a_child_that_ends_is_named_counted_and_started_again(
    started: Callable[[str], TrainingProcess],
) -> None:
    process = started("import sys; sys.exit(9)")
    until(lambda: process.num_failures >= 2)
    assert process.problem == (
        "internal: the training process ended with status 9; it is started again"
    )


def test_a_child_that_cannot_be_started_is_named_and_tried_again(tmp_path: Path) -> None:
    missing = (str(tmp_path / "no-such-program"),)
    process = TrainingProcess(settings(tmp_path), INFO, command=missing, first_pause_s=0.01)
    process.start()
    until(lambda: process.num_failures >= 2)
    process.stop()
    assert process.problem == (
        "internal: the training process could not be started (No such file or directory); it is "
        "started again"
    )


def test_a_child_that_says_what_is_no_report_is_ended_and_started_again(
    started: Callable[[str], TrainingProcess],
) -> None:
    process = started("import time; print('loading', flush=True); time.sleep(600)")
    until(lambda: process.num_failures >= 2)
    assert process.problem is not None
    assert "ended with status -9" in process.problem


def test_a_child_that_does_not_stop_is_killed(started: Callable[[str], TrainingProcess]) -> None:
    process = started("import time; time.sleep(600)")
    until(lambda: process.pid is not None)
    begun = time.monotonic()
    process.stop(timeout_s=0.1)
    assert time.monotonic() - begun < 10


def test_a_child_without_a_base_says_no_path_to_those_who_have_no_key() -> None:
    out = io.StringIO()
    Reports(out).fail(StartFailed("the engine cannot start on /data/base: there is no such folder"))
    assert json.loads(out.getvalue()) == {
        "problem": "start_failed: The server cannot start.", "new_failures": 0,
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.survival("H5")
def test_a_killed_training_process_comes_back_and_ends_its_job_and_stops_with_the_server(
    tmp_path: Path,
) -> None:
    base = build_base("bert", tmp_path / "base")
    engine = ThreadEngine(EngineConfig(base=str(base), dtype="float32", threads=1, num_slots=4))
    env = TrainerEnv(directory=tmp_path / "data", port=engine)
    env.clock.now = time.time()
    given = settings(
        tmp_path / "data", base=str(base), train=True, threads=1, lease_s=2, checkpoint_s=0.2,
        num_slots=3, kv_cache_bytes=2**24, packed_bytes=0,
    )  # fmt: skip
    process = TrainingProcess(given, engine.info, first_pause_s=0.1)
    quick = {"epochs": 12, "patience": 12, "seeds": 1, "batch_rows": 4}
    job = env.trainer.submit(env.spec(ROWS, settings=quick))

    def codes() -> list[str]:
        return [event.code for event in env.trainer.events(TENANT, job.id, limit=10_000)]

    process.start()
    try:
        until(lambda: codes().count("checkpoint.saved") > 1, 120)
        first = process.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        until(lambda: env.trainer.get(TENANT, job.id).status.ended, 120)
        assert env.trainer.get(TENANT, job.id).status is Status.SUCCEEDED
        assert codes().count("training.resumed") == 1
        assert process.pid != first
    finally:
        process.stop()
        engine.close()
        env.close()
    assert process.pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
