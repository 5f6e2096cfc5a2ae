"""Folders of checkpoints: whole or absent, one claim at a time, and gone when nobody needs them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from adapters_registry.storage import blob_table
from engine.errors import BadCheckpoint, CheckpointFailed
from engine.port import Checkpoint, OpenTraining, TrainingOpened
from engine.testing.fake_engine import FakeEngine
from tests.trainer.build import TrainerEnv, jsonl, mood_rows
from tests.trainer.storage import BOTH, Storage
from trainer.engine_client import EngineSession
from trainer.errors import LeaseLost, StorageFailed
from trainer.jobs.states import Status
from trainer.jobs.values import Claim
from trainer.training.checkpoints import Checkpoints
from trainer.training.loop_state import Epoch, LoopState
from trainer.training.run_checkpoints import RunCheckpoints

STORAGES = BOTH
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
    return [claim_again(trainer_env) for _ in range(num)]


def claim_again(trainer_env: TrainerEnv) -> Claim:
    """A job that waits, or whose worker was lost."""
    if trainer_env.store.count_jobs()["running"]:
        trainer_env.outlast(5.0)
    claim = trainer_env.store.claim("worker", 1.0)
    assert claim is not None
    return claim


def opened(trainer_env: TrainerEnv, machine: str = "checkpoints") -> Checkpoints:
    """As a worker that shares its checkpoints opens them, whatever the database is."""
    directory, blobs = trainer_env.directory / machine, trainer_env.state.blobs
    return Checkpoints(directory, trainer_env.store, blobs, are_shared=True)


def collect(trainer_env: TrainerEnv, sha256: str) -> None:
    """The content is gone from the store."""
    blobs = trainer_env.state.blobs
    with blobs.database.write() as db:
        row = blob_table.find(db, sha256)
        assert row is not None
        assert blob_table.remove(db, row)
    blobs.store.delete(row.object)


def read_folder(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


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
    checkpoints = opened(trainer_env)
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
    checkpoints = opened(trainer_env)
    checkpoints.take(second)
    with pytest.raises(LeaseLost):
        checkpoints.take(first)


def test_what_a_dead_writer_left_half_is_removed_by_the_next_claim(
    trainer_env: TrainerEnv, slot: tuple[EngineSession, int]
) -> None:
    first, second = claims(trainer_env, 2)
    checkpoints = opened(trainer_env)
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
        opened(trainer_env).take(claim)


def test_the_sweep_drops_what_ended_jobs_left_once_it_is_old(trainer_env: TrainerEnv) -> None:
    checkpoints, clock = opened(trainer_env), trainer_env.clock
    directory = trainer_env.directory / "checkpoints"
    spec = trainer_env.spec(jsonl(mood_rows()))
    for name in ("going-on", "failed", "failed-just-now"):
        trainer_env.store.submit(name, spec)
        (directory / name / "1").mkdir(parents=True)
        os.utime(directory / name, (clock.now, clock.now))
    clock.now += 100
    checkpoints.keep("failed-just-now")
    checkpoints.sweep({"going-on"}, older_than_s=50)
    assert sorted(path.name for path in directory.iterdir()) == ["failed-just-now", "going-on"]


# ---------------------------------------------------------------- on several machines


@pytest.mark.survival("F3")
def test_a_machine_that_never_had_the_job_goes_on_from_what_another_one_shared(
    trainer_env: TrainerEnv, slot: tuple[EngineSession, int]
) -> None:
    (first,) = claims(trainer_env, 1)
    taken = opened(trainer_env, "here").take(first)
    taken.run("seed-0").write(*slot, STATE, ended=False)
    taken.share("seed-0")
    before = taken.run("seed-0").last()
    kept = opened(trainer_env, "there").take(claim_again(trainer_env)).run("seed-0").last()
    assert before is not None
    assert kept is not None
    assert kept.state == STATE
    assert kept.directory.is_relative_to(trainer_env.directory / "there")
    assert read_folder(kept.directory) == read_folder(before.directory)


def test_a_machine_whose_checkpoint_is_older_than_the_shared_one_takes_that(
    trainer_env: TrainerEnv, slot: tuple[EngineSession, int]
) -> None:
    trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows())))
    for machine, step in (("here", 1), ("there", 2)):
        claim = claim_again(trainer_env)
        taken = opened(trainer_env, machine).take(claim)
        taken.run("seed-0").write(*slot, LoopState(step=step), ended=False)
        taken.share("seed-0")
        trainer_env.store.give_back(claim, keep_attempt=False)
    kept = opened(trainer_env, "here").take(claim_again(trainer_env)).run("seed-0").last()
    assert kept is not None
    assert kept.state.step == 2


def test_a_machine_whose_checkpoint_is_as_new_as_the_shared_one_fetches_nothing(
    trainer_env: TrainerEnv, slot: tuple[EngineSession, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = claims(trainer_env, 1)
    taken = opened(trainer_env).take(first)
    taken.run("seed-0").write(*slot, STATE, ended=False)
    taken.share("seed-0")
    monkeypatch.setattr(trainer_env.state.blobs, "path", None)
    kept = opened(trainer_env).take(claim_again(trainer_env)).run("seed-0").last()
    assert kept is not None
    assert kept.state == STATE


@pytest.mark.survival("F4")
def test_a_claim_that_was_overtaken_shares_nothing(
    trainer_env: TrainerEnv, slot: tuple[EngineSession, int]
) -> None:
    first, second = claims(trainer_env, 2)
    taken = opened(trainer_env).take(first)
    taken.run("seed-0").write(*slot, STATE, ended=False)
    with pytest.raises(LeaseLost):
        taken.share("seed-0")
    assert trainer_env.store.checkpoints.list(second) == []


def test_a_shared_checkpoint_takes_the_place_of_the_one_before(
    trainer_env: TrainerEnv, slot: tuple[EngineSession, int]
) -> None:
    (claim,) = claims(trainer_env, 1)
    taken = opened(trainer_env).take(claim)
    for step in (1, 2):
        taken.run("seed-0").write(*slot, LoopState(step=step), ended=False)
        taken.share("seed-0")
    names = {file.name.split("/")[0] for file in trainer_env.store.checkpoints.list(claim)}
    assert names == {"2", "state.json"}


def test_a_run_whose_shared_files_are_gone_begins_anew_and_others_do_not(
    trainer_env: TrainerEnv, slot: tuple[EngineSession, int]
) -> None:
    (first,) = claims(trainer_env, 1)
    taken = opened(trainer_env, "here").take(first)
    for run, step in (("seed-0", 1), ("seed-1", 2)):
        taken.run(run).write(*slot, LoopState(step=step), ended=False)
        taken.share(run)
    lost = next(f for f in trainer_env.store.checkpoints.list(first) if f.name == "state.json")
    collect(trainer_env, lost.sha256)
    found = opened(trainer_env, "there").take(claim_again(trainer_env))
    assert found.run("seed-0").last() is None
    kept = found.run("seed-1").last()
    assert kept is not None
    assert kept.state.step == 2


@pytest.mark.survival("F5")
def test_shared_checkpoints_of_a_failed_job_stay_for_a_while_and_of_a_good_one_do_not(
    trainer_env: TrainerEnv, slot: tuple[EngineSession, int]
) -> None:
    checkpoints, store = opened(trainer_env), trainer_env.store
    kept = []
    for status in (Status.FAILED, Status.SUCCEEDED):
        (claim,) = claims(trainer_env, 1)
        taken = checkpoints.take(claim)
        taken.run("seed-0").write(*slot, STATE, ended=False)
        taken.share("seed-0")
        store.finish(claim, status)
        (checkpoints.keep if status is Status.FAILED else checkpoints.drop)(claim.job.id)
        kept.append(claim)
    assert [len(store.checkpoints.list(claim)) > 0 for claim in kept] == [True, False]
    trainer_env.clock.now += 100
    checkpoints.sweep((), older_than_s=200)
    assert store.checkpoints.list(kept[0]) != []
    checkpoints.sweep((), older_than_s=50)
    assert store.checkpoints.list(kept[0]) == []


def test_one_machine_s_workers_keep_checkpoints_in_their_folder_only(
    trainer_env: TrainerEnv, slot: tuple[EngineSession, int], storage: Storage
) -> None:
    (claim,) = claims(trainer_env, 1)
    directory, blobs = trainer_env.directory / "checkpoints", trainer_env.state.blobs
    taken = Checkpoints(directory, trainer_env.store, blobs).take(claim)
    taken.run("seed-0").write(*slot, STATE, ended=False)
    taken.share("seed-0")
    assert bool(trainer_env.store.checkpoints.list(claim)) is storage.is_shared


@pytest.mark.survival("F7")
def test_a_sweep_drops_at_once_what_was_made_from_a_file_that_is_gone(
    trainer_env: TrainerEnv,
) -> None:
    failed = claims(trainer_env, 1)[0]
    checkpoints = opened(trainer_env)
    folder = trainer_env.directory / "checkpoints"
    checkpoints.take(failed)
    (folder / "job-without-a-row").mkdir()
    trainer_env.store.finish(failed, Status.FAILED)
    checkpoints.sweep(trainer_env.store.unfinished_ids(), 60.0)
    assert [path.name for path in folder.iterdir()] == [failed.job.id]
    trainer_env.files.delete("acme", failed.job.spec.file_id)
    checkpoints.sweep(trainer_env.store.unfinished_ids(), 60.0)
    assert list(folder.iterdir()) == []
