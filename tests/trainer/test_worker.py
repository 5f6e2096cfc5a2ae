"""The worker's thread: it takes up what waits, and gives back what it must leave."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

import pytest

from adapters_registry.storage.shared_state import DATABASE_FILE
from tests.trainer.build import TENANT, TrainerEnv, jsonl, mood_rows, watch
from tests.trainer.test_trainer import Slow, assert_clean
from trainer.errors import StorageFailed, StorageFull
from trainer.jobs.lease import Lease
from trainer.jobs.states import Status
from trainer.worker import Worker


def test_a_worker_runs_jobs_as_they_come(trainer_env: TrainerEnv) -> None:
    worker = Worker(trainer_env.trainer)
    worker.start()
    jobs = [
        trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows()), task=f"mood-{i}"))
        for i in range(2)
    ]
    for job in jobs:
        assert list(watch(trainer_env.trainer, job.id))[-1].status is Status.SUCCEEDED
    worker.stop()


def test_a_worker_that_stops_gives_its_job_back_without_counting_the_attempt(
    tmp_path: Path,
) -> None:
    trainer_env = TrainerEnv(directory=tmp_path, port=Slow())
    assert isinstance(trainer_env.port, Slow)
    worker = Worker(trainer_env.trainer)
    worker.start()
    settings = {"epochs": 200, "patience": 200}
    job = trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows()), settings=settings))
    trainer_env.port.begun.wait(10)
    started = time.monotonic()
    worker.stop()
    assert time.monotonic() - started < 5
    seen = trainer_env.trainer.get(TENANT, job.id)
    assert (seen.status, seen.attempt) == (Status.QUEUED, 0)
    assert_clean(trainer_env)
    trainer_env.close()


def test_a_worker_that_never_started_stops_too(trainer_env: TrainerEnv) -> None:
    Worker(trainer_env.trainer).stop()


class Broken:
    """A trainer that fails as told, and notes when it was asked."""

    def __init__(self, *errors: BaseException) -> None:
        self.submitted = threading.Event()
        self.errors = list(errors)
        self.asked = threading.Semaphore(0)

    def run_once(self, stop: threading.Event) -> bool:
        self.asked.release()
        if self.errors:
            raise self.errors.pop(0)
        return False


@pytest.mark.survival("H5")
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeyError("task"), "internal: "),
        (StorageFull("/secret/path"), "storage_full: "),
        (MemoryError(), "internal: "),
        (SystemExit(1), "internal: "),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_worker_outlives_whatever_fails_and_says_what_it_was(
    error: BaseException, reason: str
) -> None:
    trainer = Broken(error, error)
    worker = Worker(trainer, 0.01, first_pause_s=0.2)  # type: ignore[arg-type]
    assert worker.problem is None
    worker.start()
    trainer.asked.acquire(timeout=5)
    trainer.asked.acquire(timeout=5)
    assert worker.problem is not None
    assert worker.problem.startswith(reason)
    assert "/secret" not in worker.problem
    for _ in range(2):  # a third time, which succeeds, and another behind it
        trainer.asked.acquire(timeout=5)
    assert (worker.problem, worker.num_failures) == (None, 2)
    worker.stop()


def test_a_worker_waits_longer_after_each_failure() -> None:
    trainer = Broken(*[KeyError("task") for _ in range(100)])
    worker = Worker(trainer, first_pause_s=0.05, longest_pause_s=100)  # type: ignore[arg-type]
    worker.start()
    time.sleep(0.5)
    assert 1 < worker.num_failures < 6
    worker.stop(5)
    assert not worker._thread.is_alive()


def test_a_beat_that_fails_unexpectedly_is_not_the_last(
    trainer_env: TrainerEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows())))
    claim = trainer_env.store.claim("worker", 30.0)
    assert claim is not None
    beats = threading.Semaphore(0)

    def fail(*args: object, **news: object) -> None:
        beats.release()
        raise KeyError("revision")

    monkeypatch.setattr(trainer_env.store, "beat", fail)
    lease = Lease(trainer_env.store, claim, lease_s=30, poll_s=0.01, stop=threading.Event())
    with lease:
        for _ in range(3):
            assert beats.acquire(timeout=5)
        monkeypatch.undo()
        trainer_env.store.pause(TENANT, job.id)
        deadline = time.monotonic() + 5
        while not lease.pause_requested and time.monotonic() < deadline:
            time.sleep(0.01)
        assert lease.pause_requested


def test_checkpoints_that_cannot_be_swept_stop_nobody(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("a file where a folder belongs")
    trainer_env = TrainerEnv(directory=tmp_path)
    assert not trainer_env.trainer.run_once()
    (tmp_path / "checkpoints").unlink()
    job = trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows())))
    assert trainer_env.trainer.run_once()
    assert trainer_env.trainer.get(TENANT, job.id).status is Status.SUCCEEDED
    trainer_env.close()


@pytest.mark.survival("G6")
def test_a_job_database_that_cannot_be_read_is_a_typed_error(tmp_path: Path) -> None:
    trainer_env = TrainerEnv(directory=tmp_path)
    job = trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows())))
    with sqlite3.connect(tmp_path / DATABASE_FILE) as db:
        db.execute("DROP TABLE job_events")
    db.close()
    with pytest.raises(StorageFailed, match="cannot be read: no such table"):
        trainer_env.trainer.events(TENANT, job.id, limit=1)
    with pytest.raises(StorageFailed, match="cannot be written: no such table"):
        trainer_env.trainer.cancel(TENANT, job.id)
    trainer_env.close()
