"""Folders of checkpoints: whole or absent, one claim at a time, and gone when nobody needs them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.errors import BadCheckpoint, CheckpointFailed
from engine.port import Checkpoint, OpenTraining, TrainingOpened
from engine.testing.fake_engine import FakeEngine
from tests.trainer.build import Clock, TrainerEnv, jsonl, mood_rows
from trainer.engine_client import EngineSession
from trainer.errors import LeaseLost, StorageFailed
from trainer.jobs.values import Claim
from trainer.training.checkpoints import Checkpoints
from trainer.training.loop_state import Epoch, LoopState
from trainer.training.run_checkpoints import RunCheckpoints

HEAD = {"kind": "classify", "labels": ["no", "yes"], "pooling": "native"}
STATE = LoopState(
    step=3, loss_sum=0.1 + 0.2, best=(0.5, float("-inf")),
    epochs=(Epoch(number=1, loss=0.7, dev={"accuracy": 0.5}, best=True),),
)  # fmt: skip


@pytest.fixture
def port() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def slot(port: FakeEngine) -> tuple[EngineSession, int]:
    opening = OpenTraining(kind="lora", kind_config={}, head=HEAD, seed=0)
    session = EngineSession(port)
    return session, session.call(opening, TrainingOpened).slot


def claims(trainer_env: TrainerEnv, num: int) -> list[Claim]:
    """One job, claimed again and again after its worker was lost."""
    trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows())))
    found = []
    for _ in range(num):
        claim = trainer_env.store.claim("worker", 1.0)
        assert claim is not None
        found.append(claim)
        trainer_env.clock.now += 5
    return found


def test_a_run_that_was_never_written_has_no_last_checkpoint(tmp_path: Path) -> None:
    assert RunCheckpoints(tmp_path / "run").last() is None


def test_what_was_written_is_the_last_and_only_one(
    tmp_path: Path, slot: tuple[EngineSession, int]
) -> None:
    run = RunCheckpoints(tmp_path / "run")
    run.write(*slot, LoopState(), ended=False)
    run.write(*slot, STATE, ended=True)
    kept = run.last()
    assert kept is not None
    assert (kept.state, kept.ended) == (STATE, True)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"state.json", kept.directory.name}


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(
    tmp_path: Path, port: FakeEngine, slot: tuple[EngineSession, int]
) -> None:
    run = RunCheckpoints(tmp_path / "run")
    run.write(*slot, STATE, ended=False)
    port.broken[Checkpoint] = CheckpointFailed("no space left on device")
    with pytest.raises(CheckpointFailed, match="no space left"):
        run.write(*slot, LoopState(), ended=False)
    kept = run.last()
    assert kept is not None
    assert kept.state == STATE
    assert kept.directory.is_dir()


def test_a_state_that_cannot_be_written_leaves_the_one_before(
    tmp_path: Path, slot: tuple[EngineSession, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunCheckpoints(tmp_path / "run")
    run.write(*slot, STATE, ended=False)

    def full(target: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("trainer.training.run_checkpoints.write_atomic", full)
        with pytest.raises(CheckpointFailed, match="No space left"):
            run.write(*slot, LoopState(), ended=False)
    assert (kept := run.last()) is not None
    assert kept.state == STATE
    run.write(*slot, LoopState(step=9), ended=False)
    assert (kept := run.last()) is not None
    assert kept.state.step == 9
    assert len(list((tmp_path / "run").iterdir())) == 2


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[]", b'{"loop": {}, "ended": 1}'])
def test_a_state_that_nobody_can_read_is_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.json").write_bytes(content)
    with pytest.raises(BadCheckpoint):
        RunCheckpoints(tmp_path).last()


def test_a_later_claim_finds_what_the_one_before_wrote_and_takes_it_away(
    trainer_env: TrainerEnv, slot: tuple[EngineSession, int]
) -> None:
    first, second = claims(trainer_env, 2)
    checkpoints = Checkpoints(trainer_env.directory / "checkpoints")
    before = checkpoints.take(first).run("seed-0")
    before.write(*slot, STATE, ended=False)
    after = checkpoints.take(second).run("seed-0")
    assert (kept := after.last()) is not None
    assert kept.state == STATE
    with pytest.raises(CheckpointFailed):
        before.write(*slot, LoopState(), ended=False)
    assert after.last() == kept


def test_a_claim_that_was_overtaken_cannot_take_the_folder_back(trainer_env: TrainerEnv) -> None:
    first, second = claims(trainer_env, 2)
    checkpoints = Checkpoints(trainer_env.directory / "checkpoints")
    checkpoints.take(second)
    with pytest.raises(LeaseLost):
        checkpoints.take(first)


def test_what_a_dead_writer_left_half_is_removed_by_the_next_claim(
    trainer_env: TrainerEnv, slot: tuple[EngineSession, int]
) -> None:
    first, second = claims(trainer_env, 2)
    checkpoints = Checkpoints(trainer_env.directory / "checkpoints")
    checkpoints.take(first).run("seed-0").write(*slot, STATE, ended=False)
    folder = next((trainer_env.directory / "checkpoints").glob("*/*/seed-0"))
    (folder / ".7.part").mkdir()
    (folder / ".7.part" / "model.safetensors").write_bytes(b"half")
    checkpoints.take(second)
    assert list((trainer_env.directory / "checkpoints").rglob("*.part")) == []


def test_a_folder_that_cannot_be_made_is_a_storage_failure(trainer_env: TrainerEnv) -> None:
    (claim,) = claims(trainer_env, 1)
    (trainer_env.directory / "checkpoints").write_text("no folder")
    with pytest.raises(StorageFailed):
        Checkpoints(trainer_env.directory / "checkpoints").take(claim)


def test_the_sweep_drops_what_ended_jobs_left_once_it_is_old(tmp_path: Path) -> None:
    clock = Clock()
    checkpoints = Checkpoints(tmp_path, clock)
    for name in ("going-on", "failed", "failed-just-now"):
        (tmp_path / name / "1").mkdir(parents=True)
        os.utime(tmp_path / name, (clock.now, clock.now))
    clock.now += 100
    checkpoints.keep("failed-just-now")
    checkpoints.sweep({"going-on"}, older_than_s=50)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["failed-just-now", "going-on"]
