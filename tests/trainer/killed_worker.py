"""Runs one job and kills its own process; `python -m tests.trainer.killed_worker DIR WHEN
[DATABASE_URL BLOBS_URL]`.
"""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NoReturn

from adapters_registry.registry import Registry
from adapters_registry.values import Version
from engine.port import Result, Step, Train
from engine.testing.fake_engine import FakeEngine
from tests.trainer.build import TrainerEnv, jsonl, mood_rows
from tests.trainer.storage import Storage


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


#: training steps that are done when the process dies
NUM_STEPS = {"training": 2, "checkpointed": 9}


class DiesTraining(FakeEngine):
    """Its process is killed after so many training steps."""

    def __init__(self, num_steps: int) -> None:
        super().__init__()
        self.num_steps = num_steps

    def submit(self, step: Step) -> Future[Result]:
        is_due = sum(isinstance(each, Train) for each in self.steps) == self.num_steps
        if is_due and isinstance(step, Train):
            die()
        return FakeEngine.submit(self, step)


def main(directory: str, when: str, *urls: str) -> None:
    port = DiesTraining(NUM_STEPS[when]) if when in NUM_STEPS else FakeEngine()
    storage = Storage(**dict(zip(("database_url", "blobs_url"), urls, strict=False)))
    # a checkpoint after every epoch, of six steps
    pace = {"pace_clock": lambda: 0.0} if when == "checkpointed" else {}
    trainer_env = TrainerEnv(directory=Path(directory), port=port, storage=storage, **pace)
    publish = Registry.publish

    def published_then_dead(self: Registry, **given: Any) -> Version:
        publish(self, **given)
        die()

    if when == "published":
        Registry.publish = published_then_dead  # type: ignore[method-assign]
    # as in `test_resume.py`
    settings = {"epochs": 3, "seeds": 2, "batch_rows": 8, "patience": 3}
    settings = settings if when == "checkpointed" else {}
    trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows()), settings=settings))
    trainer_env.trainer.run_once()


if __name__ == "__main__":
    main(*sys.argv[1:])
