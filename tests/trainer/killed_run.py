"""Runs one job on a real engine and kills its own process; `python -m tests.trainer.killed_run DIR
BASE WHEN`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count
from pathlib import Path
from typing import Any

from engine.config import EngineConfig
from engine.port import Result, Save, Step, Train
from engine.runtime.in_thread import ThreadEngine
from engine.training.masters_state import MastersState
from tests.trainer.build import TrainerEnv, jsonl, mood_rows
from tests.trainer.killed_worker import die
from trainer.training import run_checkpoints

#: 43 training rows in batches of 8, three epochs: 18 steps a seed
SETTINGS = {"epochs": 3, "seeds": 2, "batch_rows": 8, "patience": 3}


class Dying(ThreadEngine):
    """Its process is killed before the step of a type, counted from 1."""

    def __init__(self, config: EngineConfig, kind: type[Any], number: int) -> None:
        super().__init__(config)
        self.kind, self.left = kind, number

    def submit(self, step: Step) -> Future[Result]:
        self.left -= isinstance(step, self.kind)
        if not self.left:
            die()
        return super().submit(step)


def nth(number: int, then: Callable[..., Any]) -> Callable[..., None]:
    """Lets `then` run so often and dies in the middle of it the last time."""
    left = number

    def run(*given: Any) -> None:
        nonlocal left
        left -= 1
        if not left:
            die()
        then(*given)

    return run


def main(directory: str, base: str, when: str) -> None:
    config = EngineConfig(base=base, dtype="float32", threads=1, num_slots=4)
    kind, number = {"first epoch": (Train, 4), "second seed": (Train, 27), "saving": (Save, 1)}.get(
        when, (Save, 99)
    )
    if when == "half a checkpoint":
        whole, numbers = MastersState.write, count(1)

        def half(self: MastersState, folder: Path) -> None:
            whole(self, folder)
            if next(numbers) == 11:
                (folder / "optimizer.bin").write_bytes(b"half")
                die()

        MastersState.write = half  # type: ignore[method-assign]
    if when == "before it counts":
        run_checkpoints.write_atomic = nth(9, run_checkpoints.write_atomic)
    trainer_env = TrainerEnv(
        directory=Path(directory), port=Dying(config, kind, number), checkpoint_s=0.0,
        pace_clock=lambda: 0.0,
    )  # fmt: skip
    trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows()), settings=SETTINGS))
    trainer_env.trainer.run_once()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3])
