"""Workers in processes of their own over one data directory: killed, frozen, told to stop. One job
gives one version, and the one it would have given.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.config import EngineConfig
from engine.runtime.in_thread import ThreadEngine
from tests.contracts.tiny import build_base
from tests.trainer.build import TENANT, TrainerEnv, jsonl
from trainer.jobs.states import Status
from trainer.jobs.values import Job

#: engines start in seconds on a quiet machine, on a busy one in many
pytestmark = pytest.mark.timeout(400)
LEASE_S = 2
#: long enough to be caught in the middle
SETTINGS = {"epochs": 40, "patience": 40, "seeds": 1, "batch_rows": 4, "learning_rate": 0.001}
ROWS = jsonl(
    {"text": f"{words} w{10 + i}", "label": label}
    for i in range(60)
    for label, words in (("glad", "w1 w2 w3"), ("sad", "w4 w5 w6"))
)


class Yard:
    """A data directory, the base of its jobs, and the workers on it."""

    def __init__(self, base: Path, directory: Path) -> None:
        self.base = base
        engine = ThreadEngine(EngineConfig(base=str(base), dtype="float32", threads=1, num_slots=4))
        self.trainer_env = TrainerEnv(directory=directory, port=engine)
        self.trainer_env.clock.now = time.time()
        self.workers: list[subprocess.Popen[bytes]] = []

    def submit(self, **given: Any) -> Job:
        return self.trainer_env.trainer.submit(
            self.trainer_env.spec(ROWS, settings=SETTINGS, **given)
        )

    def start(self) -> subprocess.Popen[bytes]:
        command = [
            sys.executable, "-m", "adapterd", "worker", "--base", str(self.base), "--threads", "1",
            "--data-dir", str(self.trainer_env.directory), "--dtype", "float32",
            "--set", f"lease_s={LEASE_S}", "--set", "checkpoint_s=0.2", "--set", "num_slots=3",
            "--set", "kv_cache_bytes=16777216",
        ]  # fmt: skip
        root = Path(__file__).parents[2]
        with (self.trainer_env.directory / "workers.log").open("ab") as log:
            self.workers.append(subprocess.Popen(command, cwd=root, stderr=log))
        return self.workers[-1]

    def job(self, job: Job) -> Job:
        return self.trainer_env.trainer.get(TENANT, job.id)

    def codes(self, job: Job) -> list[str]:
        return [
            event.code for event in self.trainer_env.trainer.events(TENANT, job.id, limit=10_000)
        ]

    def until(self, true: Callable[[], bool], what: str, timeout_s: float = 120) -> None:
        give_up = time.monotonic() + timeout_s
        while not true():
            assert time.monotonic() < give_up, f"{what} did not come"
            time.sleep(0.02)

    def log(self) -> str:
        return (self.trainer_env.directory / "workers.log").read_text()

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()  # its engine ends with it
            worker.wait()
        self.trainer_env.port.close()
        self.trainer_env.close()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_base("bert", tmp_path_factory.mktemp("bert"))


@pytest.fixture
def yard(base: Path, tmp_path: Path) -> Iterator[Yard]:
    made = Yard(base, tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def digest(base: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of the job's version, where nothing stops it."""
    yard = Yard(base, tmp_path_factory.mktemp("whole"))
    job = yard.submit()
    assert yard.trainer_env.trainer.run_once()
    found = yard.job(job).digest
    assert found is not None
    yard.close()
    return found


@pytest.mark.survival("F3")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_worker_leaves_the_next_one_ends_as_if_there_had_been_one(
    yard: Yard, digest: str, number: signal.Signals
) -> None:
    job = yard.submit()
    first = yard.start()
    yard.until(lambda: yard.codes(job).count("checkpoint.saved") > 2, "a checkpoint")
    first.send_signal(number)
    assert first.wait(30) == (0 if number == signal.SIGTERM else -signal.SIGKILL)
    assert yard.job(job).status is (
        Status.QUEUED if number == signal.SIGTERM else Status.RUNNING
    ), yard.log()
    yard.start()
    yard.until(lambda: yard.job(job).status.ended, "the end")
    ended = yard.job(job)
    assert (ended.status, ended.digest) == (Status.SUCCEEDED, digest), yard.log()
    assert yard.codes(job).count("training.resumed") == 1
    assert [v.digest for v in yard.trainer_env.registry.versions(TENANT, "mood")] == [digest]
    assert list((yard.trainer_env.directory / "checkpoints").iterdir()) == []


@pytest.mark.survival("F4")
def test_a_worker_that_was_frozen_while_another_took_its_job_publishes_nothing(
    yard: Yard, digest: str
) -> None:
    job = yard.submit()
    first = yard.start()
    yard.until(lambda: yard.codes(job).count("checkpoint.saved") > 2, "a checkpoint")
    first.send_signal(signal.SIGSTOP)
    yard.start()
    yard.until(lambda: yard.job(job).status.ended, "the end")
    ended = yard.job(job)
    first.send_signal(signal.SIGCONT)
    yard.until(lambda: "job.lost" in yard.log(), "the first worker's insight")
    assert (ended.status, ended.digest, ended.attempt) == (Status.SUCCEEDED, digest, 2)
    assert yard.job(job) == ended
    assert len(yard.trainer_env.registry.versions(TENANT, "mood")) == 1
    assert first.poll() is None
