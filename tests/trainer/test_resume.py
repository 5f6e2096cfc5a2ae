"""Jobs that stop and go on, over the fake engine: nothing is trained twice, and nothing else comes
of them than of jobs that never stopped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.errors import CheckpointFailed, Diverged, OutOfMemory
from engine.port import Checkpoint, EngineInfo, Result, Step, Train
from engine.testing.fake_engine import FakeEngine
from tests.trainer.build import TENANT, TrainerEnv, jsonl, mood_rows
from trainer.jobs.states import Status
from trainer.jobs.values import Job

MOODS = jsonl(mood_rows())
#: 43 training rows in batches of 8: six steps an epoch
SETTINGS = {"epochs": 3, "seeds": 2, "batch_rows": 8, "patience": 3}
NUM_STEPS = 2 * 3 * 6


class Interrupted(FakeEngine):
    """Calls `at` before training steps of these numbers, counted from 1 over all runs."""

    def __init__(self, at: dict[int, Callable[[], object]]) -> None:
        super().__init__()
        self.at = at

    def submit(self, step: Step) -> Future[Result]:
        if isinstance(step, Train):
            self.at.pop(self.num_trained + 1, lambda: None)()
        return FakeEngine.submit(self, step)

    @property
    def num_trained(self) -> int:
        return sum(isinstance(step, Train) for step in self.steps)


def made(tmp_path: Path, at: dict[int, Callable[[], object]] | None = None) -> TrainerEnv:
    """A trainer that writes a checkpoint after every step."""
    port = Interrupted(at or {})
    return TrainerEnv(directory=tmp_path, port=port, checkpoint_s=0.0, pace_clock=lambda: 0.0)


def submitted(trainer_env: TrainerEnv, **given: Any) -> Job:
    return trainer_env.trainer.submit(trainer_env.spec(MOODS, settings=SETTINGS, **given))


def events(trainer_env: TrainerEnv, job: Job, code: str) -> list[dict[str, Any]]:
    found = trainer_env.trainer.events(TENANT, job.id, limit=1000)
    return [event.data for event in found if event.code == code]


def engine(trainer_env: TrainerEnv) -> Interrupted:
    assert isinstance(trainer_env.port, Interrupted)
    return trainer_env.port


def folders(trainer_env: TrainerEnv) -> list[str]:
    return [path.name for path in (trainer_env.directory / "checkpoints").glob("*")]


@pytest.fixture
def digest(tmp_path: Path) -> str:
    """Of the version of a job that never stops."""
    trainer_env = made(tmp_path / "whole")
    job = submitted(trainer_env)
    assert trainer_env.trainer.run_once()
    assert engine(trainer_env).num_trained == NUM_STEPS
    found = trainer_env.trainer.get(TENANT, job.id).digest
    assert found is not None
    trainer_env.close()
    return found


@pytest.mark.parametrize("step", [2, 6, 7, 13, 19, NUM_STEPS])
def test_a_paused_job_goes_on_where_it_was_and_ends_as_if_it_had_not_been(
    tmp_path: Path, digest: str, step: int
) -> None:
    def pause() -> None:
        trainer_env.trainer.pause(TENANT, job.id)
        wished.wait(1)

    wished = threading.Event()
    trainer_env = made(tmp_path / "paused", {step: pause})
    job = submitted(trainer_env)
    assert trainer_env.trainer.run_once()
    assert trainer_env.trainer.get(TENANT, job.id).status is Status.PAUSED
    assert trainer_env.trainer.run_once() is False
    before = engine(trainer_env).num_trained
    assert step <= before < NUM_STEPS or step == before == NUM_STEPS
    trainer_env.trainer.resume(TENANT, job.id)
    assert trainer_env.trainer.run_once()
    ended = trainer_env.trainer.get(TENANT, job.id)
    assert (ended.status, ended.digest, ended.attempt) == (Status.SUCCEEDED, digest, 1)
    assert engine(trainer_env).num_trained == NUM_STEPS
    assert events(trainer_env, job, "training.resumed")[-1]["step"] == (before - 1) % 18 + 1
    assert folders(trainer_env) == []
    trainer_env.close()


def test_a_worker_that_stops_leaves_what_the_next_one_goes_on_from(
    tmp_path: Path, digest: str
) -> None:
    stop = threading.Event()
    trainer_env = made(tmp_path / "stopped", {10: stop.set})
    job = submitted(trainer_env)
    assert trainer_env.trainer.run_once(stop)
    assert trainer_env.trainer.get(TENANT, job.id).status is Status.QUEUED
    assert trainer_env.trainer.run_once()
    assert trainer_env.trainer.get(TENANT, job.id).digest == digest
    assert engine(trainer_env).num_trained == NUM_STEPS
    trainer_env.close()


@pytest.mark.survival("F3")
def test_a_job_whose_engine_dies_goes_on_from_its_last_checkpoint(
    tmp_path: Path, digest: str
) -> None:
    trainer_env = made(tmp_path / "dead", {22: lambda: engine(trainer_env).die()})
    job = submitted(trainer_env)
    assert trainer_env.trainer.run_once()
    assert trainer_env.trainer.get(TENANT, job.id).status is Status.QUEUED
    assert len(events(trainer_env, job, "engine.gone")) == 1
    assert trainer_env.trainer.run_once()
    assert trainer_env.trainer.get(TENANT, job.id).digest == digest
    ended, left = events(trainer_env, job, "training.resumed")
    assert (ended["step"], left["seed"]) == (18, 1)
    assert engine(trainer_env).num_trained < NUM_STEPS + 3
    trainer_env.close()


def test_no_job_is_tried_while_the_engine_is_not_back(tmp_path: Path, digest: str) -> None:
    trainer_env = made(tmp_path / "down")
    job = submitted(trainer_env)
    engine(trainer_env).down = True
    assert trainer_env.trainer.run_once() is False
    assert trainer_env.trainer.get(TENANT, job.id).attempt == 0
    engine(trainer_env).down = False
    assert trainer_env.trainer.run_once()
    assert trainer_env.trainer.get(TENANT, job.id).digest == digest
    trainer_env.close()


def test_each_checkpoint_is_told_with_its_step_and_its_dev_metrics(tmp_path: Path) -> None:
    trainer_env = made(tmp_path)
    job = submitted(trainer_env)
    assert trainer_env.trainer.run_once()
    last = events(trainer_env, job, "checkpoint.saved")[-1]
    assert (last["seed"], last["step"], last["epoch"]) == (1, 18, 3)
    assert last["metrics"]["accuracy"] == 1.0
    assert last["bytes"] > 0
    trainer_env.close()


def test_a_disk_that_is_full_for_checkpoints_is_told_once_and_the_job_succeeds(
    tmp_path: Path, digest: str
) -> None:
    trainer_env = made(tmp_path / "full")
    engine(trainer_env).broken[Checkpoint] = CheckpointFailed("no space left on device")
    job = submitted(trainer_env)
    assert trainer_env.trainer.run_once()
    assert trainer_env.trainer.get(TENANT, job.id).digest == digest
    assert len(events(trainer_env, job, "checkpoint.failed")) == 2  # once for each run
    assert events(trainer_env, job, "checkpoint.saved") == []
    assert folders(trainer_env) == []
    trainer_env.close()


def test_a_checkpoint_that_nobody_can_use_is_told_and_its_run_begins_anew(
    tmp_path: Path, digest: str
) -> None:
    stop = threading.Event()
    trainer_env = made(tmp_path / "broken", {10: stop.set})
    job = submitted(trainer_env)
    assert trainer_env.trainer.run_once(stop)
    for file in (trainer_env.directory / "checkpoints").rglob("model.safetensors"):
        file.write_bytes(file.read_bytes()[:40])
    assert trainer_env.trainer.run_once()
    assert trainer_env.trainer.get(TENANT, job.id).digest == digest
    assert len(events(trainer_env, job, "checkpoint.unusable")) == 1
    assert events(trainer_env, job, "training.resumed") == []
    trainer_env.close()


class OtherBase(FakeEngine):
    """The same engine over another base."""

    @property
    def info(self) -> EngineInfo:
        return msgspec.structs.replace(super().info, fingerprint="a" * 64, base="another")


@pytest.mark.parametrize("begun", [True, False])
def test_a_job_for_another_base_fails_and_publishes_nothing(tmp_path: Path, begun: bool) -> None:
    stop = threading.Event()
    trainer_env = made(tmp_path, {10: stop.set})
    job = submitted(trainer_env)
    if begun:
        assert trainer_env.trainer.run_once(stop)
    trainer_env.close()
    trainer_env = TrainerEnv(directory=tmp_path, port=OtherBase())
    assert trainer_env.trainer.run_once()
    ended = trainer_env.trainer.get(TENANT, job.id)
    assert (ended.status, ended.error_code) == (Status.FAILED, "base_changed")
    assert ended.error_message is not None
    assert "another (aaaaaaaaaaaa…)" in ended.error_message
    assert trainer_env.registry.tasks(TENANT) == []
    trainer_env.close()


@pytest.mark.survival("F5")
@pytest.mark.parametrize("error", [Diverged("the loss is nan"), OutOfMemory("does not fit")])
def test_a_failed_job_leaves_its_last_checkpoint_for_a_while(
    tmp_path: Path, error: Exception
) -> None:
    def broken() -> None:
        engine(trainer_env).broken[Train] = error  # type: ignore[assignment]

    trainer_env = made(tmp_path, {10: broken})
    job = submitted(trainer_env)
    assert trainer_env.trainer.run_once()
    ended = trainer_env.trainer.get(TENANT, job.id)
    assert (ended.status, ended.error_code) == (Status.FAILED, error.code)  # type: ignore[attr-defined]
    assert (folders(trainer_env), trainer_env.registry.tasks(TENANT)) == ([job.id], [])
    trainer_env.clock.now += 8 * 24 * 3600
    assert trainer_env.trainer.run_once() is False
    assert folders(trainer_env) == []
    trainer_env.close()


def test_a_cancelled_job_leaves_nothing(tmp_path: Path) -> None:
    trainer_env = made(tmp_path, {10: lambda: trainer_env.trainer.cancel(TENANT, job.id)})
    job = submitted(trainer_env)
    assert trainer_env.trainer.run_once()
    assert folders(trainer_env) == []
    trainer_env.close()


def test_a_job_that_is_cancelled_while_it_is_paused_leaves_nothing(tmp_path: Path) -> None:
    def pause() -> None:
        trainer_env.trainer.pause(TENANT, job.id)
        threading.Event().wait(1)  # for the worker to look up

    trainer_env = made(tmp_path, {9: pause})
    job = submitted(trainer_env)
    assert trainer_env.trainer.run_once()
    assert folders(trainer_env) == [job.id]
    assert trainer_env.trainer.cancel(TENANT, job.id).status is Status.CANCELLED
    assert folders(trainer_env) == []
    trainer_env.close()
