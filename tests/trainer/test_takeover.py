"""Two workers and one job: whoever lost it writes nothing more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

import pytest

from engine.port import Result, Step, Unload
from engine.testing.fake_engine import FakeEngine
from tests.trainer.build import TENANT, jsonl, mood_rows
from tests.trainer.conftest import MakeEnv
from tests.trainer.storage import BOTH
from trainer.errors import LeaseLost
from trainer.jobs.lease import Lease
from trainer.pipeline.job_run import JobRun

STORAGES = BOTH


class TakenOver(FakeEngine):
    """While it proves what a worker is about to publish, another worker takes the job."""

    take: Callable[[], object]

    def submit(self, step: Step) -> Future[Result]:
        if isinstance(step, Unload):
            self.take()
        return FakeEngine.submit(self, step)


@pytest.mark.survival("F4")
def test_a_worker_whose_job_was_taken_over_publishes_nothing(open_env: MakeEnv) -> None:
    trainer_env = open_env(port=(port := TakenOver()))
    trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows())))
    first = trainer_env.store.claim("stuck", 1.0)
    assert first is not None

    def take() -> None:
        trainer_env.outlast(100.0)
        assert trainer_env.store.claim("quick", 1.0) is not None

    port.take = take
    lease = Lease(trainer_env.store, first, lease_s=1.0, poll_s=9.0, stop=threading.Event())
    with lease, pytest.raises(LeaseLost):
        JobRun(trainer_env.trainer._tools, first.job, lease).run()
    assert trainer_env.registry.tasks(TENANT) == []
