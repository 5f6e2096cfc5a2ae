"""Runs one job and kills its own process; `python -m tests.trainer.killed_worker DIR WHEN`."""

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


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


class DiesTraining(FakeEngine):
    """Its process is killed at the third training step."""

    def submit(self, step: Step) -> Future[Result]:
        if sum(isinstance(each, Train) for each in self.steps) == 2:
            die()
        return FakeEngine.submit(self, step)


def main(directory: str, when: str) -> None:
    port = DiesTraining() if when == "training" else FakeEngine()
    trainer_env = TrainerEnv(directory=Path(directory), port=port)
    publish = Registry.publish

    def published_then_dead(self: Registry, **given: Any) -> Version:
        publish(self, **given)
        die()

    if when == "published":
        Registry.publish = published_then_dead  # type: ignore[method-assign]
    trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows())))
    trainer_env.trainer.run_once()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
