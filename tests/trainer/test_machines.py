"""Workers on several machines, over one PostgreSQL and one bucket: each job is run once, goes on
where the machine before left it, and ends with the same bytes.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from engine.port import Checkpoint
from engine.testing.fake_engine import FakeEngine
from tests.trainer.build import TENANT, Clock, TrainerEnv
from tests.trainer.conftest import MakeEnv
from tests.trainer.storage import Storage
from tests.trainer.test_job_store import submit
from tests.trainer.test_resume import MOODS, NUM_STEPS, SETTINGS, Interrupted, events
from trainer.errors import StorageFailed
from trainer.jobs.changes import JOBS_CHANGED
from trainer.jobs.schema import JOBS
from trainer.jobs.states import Status
from trainer.jobs.store import JobStore

STORAGES = ("postgres",)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def digest(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of the version of a job that never stops."""
    trainer_env = TrainerEnv(directory=tmp_path_factory.mktemp("whole"))
    job = trainer_env.trainer.submit(trainer_env.spec(MOODS, settings=SETTINGS))
    assert trainer_env.trainer.run_once()
    found = trainer_env.trainer.get(TENANT, job.id).digest
    assert found is not None
    trainer_env.close()
    return found


def checkpointing(open_env: MakeEnv, directory: Path, port: FakeEngine) -> TrainerEnv:
    """A machine of its own, which writes a checkpoint after every epoch."""
    return open_env(directory, port=port, pace_clock=lambda: 0.0)


@pytest.mark.survival("F3")
@pytest.mark.parametrize("step", [3, 7, 22])
def test_a_job_goes_on_on_a_machine_that_never_had_it_and_ends_as_if_it_had_not_moved(
    open_env: MakeEnv, tmp_path: Path, digest: str, step: int
) -> None:
    stop = threading.Event()
    here = checkpointing(open_env, tmp_path / "here", Interrupted({step: stop.set}))
    there = checkpointing(open_env, tmp_path / "there", Interrupted({}))
    job = here.trainer.submit(here.spec(MOODS, settings=SETTINGS))
    assert here.trainer.run_once(stop)
    assert here.trainer.get(TENANT, job.id).status is Status.QUEUED
    assert there.trainer.run_once()
    ended = there.trainer.get(TENANT, job.id)
    assert (ended.status, ended.digest) == (Status.SUCCEEDED, digest)
    trained = [env.port.num_trained for env in (here, there)]  # type: ignore[attr-defined]
    assert sum(trained) == NUM_STEPS
    version = here.registry.resolve(TENANT, "mood")
    assert all(path.is_file() for _, path, _ in here.registry.files(version))


@pytest.mark.survival("F3")
def test_a_job_whose_machine_is_lost_goes_on_elsewhere_from_its_last_checkpoint(
    open_env: MakeEnv, tmp_path: Path, storage: Storage, digest: str
) -> None:
    words = [str(tmp_path / "lost"), "checkpointed", storage.database_url, storage.blobs_url]
    command = [sys.executable, "-m", "tests.trainer.killed_worker", *map(str, words)]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    there = checkpointing(open_env, tmp_path / "there", Interrupted({}))
    there.outlast(6.0)
    assert there.trainer.run_once()
    (job,) = there.trainer.list(TENANT)
    assert (job.status, job.attempt, job.digest) == (Status.SUCCEEDED, 2, digest)
    assert [event["step"] for event in events(there, job, "training.resumed")] == [6]
    assert [v.number for v in there.registry.versions(TENANT, "mood")] == [1]


@pytest.mark.survival("F4")
def test_every_job_is_claimed_by_one_thread_of_one_process(
    trainer_env: TrainerEnv, storage: Storage
) -> None:
    num = 40
    for number in range(num):
        submit(trainer_env, f"job-{number}")
    command = [sys.executable, "-m", "tests.trainer.claiming", str(storage.database_url)]
    workers = [
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    taken: list[str] = []

    def claim() -> None:
        while (held := trainer_env.store.claim("worker", 60.0)) is not None:
            taken.append(held.job.id)

    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(worker.communicate, "") for worker in workers]
        for thread in [pool.submit(claim) for _ in range(2)]:
            thread.result()
        for answer in answers:
            taken += answer.result()[0].split()
    assert sorted(taken) == sorted(f"job-{number}" for number in range(num))


@pytest.mark.survival("G10")
def test_leases_are_dated_by_the_database_and_by_no_worker(trainer_env: TrainerEnv) -> None:
    database = trainer_env.state.database
    store = JobStore(database, Clock(now=5e9))
    submit(trainer_env)
    assert store.claim("worker", 60.0) is not None
    with database.read() as db:
        until = db.execute(sa.select(JOBS.c.lease_until)).scalar_one()
        now = db.execute(sa.text("SELECT extract(epoch FROM now())::float")).scalar_one()
    assert 0 < until - now <= 60


def test_a_job_that_queues_is_announced_to_workers_of_other_machines(
    trainer_env: TrainerEnv, storage: Storage
) -> None:
    url = sa.make_url(str(storage.database_url)).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as listening:
        listening.execute(f'LISTEN "{JOBS_CHANGED}"')
        submit(trainer_env)
        trainer_env.store.pause(TENANT, "job-1")
        trainer_env.store.resume(TENANT, "job-1")
        held = trainer_env.store.claim("worker", 60.0)
        assert held is not None
        trainer_env.store.give_back(held, keep_attempt=False)
        heard = [each.channel for each in listening.notifies(timeout=10, stop_after=3)]
    assert heard == [JOBS_CHANGED] * 3


@pytest.mark.survival("G5")
def test_a_bucket_that_takes_no_checkpoint_is_told_once_a_run_and_the_job_goes_on(
    open_env: MakeEnv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = checkpointing(open_env, tmp_path / "here", FakeEngine())
    job = here.trainer.submit(here.spec(MOODS, settings=SETTINGS))

    def refuse(*given: object) -> None:
        raise StorageFailed("The checkpoint could not be stored: no answer.")

    monkeypatch.setattr("trainer.training.shared_checkpoints.SharedCheckpoints.store", refuse)
    assert here.trainer.run_once()
    assert here.trainer.get(TENANT, job.id).status is Status.SUCCEEDED
    assert len(events(here, job, "checkpoint.not_shared")) == 2
    saved = events(here, job, "checkpoint.saved")
    assert len(saved) == sum(isinstance(s, Checkpoint) for s in here.port.steps)  # type: ignore[attr-defined]
