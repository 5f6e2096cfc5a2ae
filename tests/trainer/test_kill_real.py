"""`kill -9` at any moment of a real training: what comes of the job is the same bytes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.config import EngineConfig
from engine.port import EnginePort
from engine.runtime.in_thread import ThreadEngine
from tests.contracts.tiny import build_base
from tests.trainer.build import TENANT, TrainerEnv, jsonl, mood_rows
from tests.trainer.killed_run import SETTINGS
from trainer.jobs.states import Status

MOMENTS = ["first epoch", "half a checkpoint", "before it counts", "second seed", "saving"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_base("bert", tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def engine(base: Path) -> Iterator[EnginePort]:
    engine = ThreadEngine(EngineConfig(base=str(base), dtype="float32", threads=1, num_slots=4))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def whole(engine: EnginePort, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the version, where nothing was killed."""
    trainer_env = TrainerEnv(directory=tmp_path_factory.mktemp("whole"), port=engine)
    trainer_env.trainer.submit(trainer_env.spec(jsonl(mood_rows()), settings=SETTINGS))
    assert trainer_env.trainer.run_once()
    return published(trainer_env)


def published(trainer_env: TrainerEnv) -> dict[str, bytes]:
    """Closes the trainer_env."""
    (version,) = trainer_env.registry.versions(TENANT, "mood")
    files = {role: path.read_bytes() for role, path, _ in trainer_env.registry.files(version)}
    trainer_env.close()
    return files


@pytest.mark.survival("F3")
@pytest.mark.parametrize("when", MOMENTS)
def test_a_killed_training_ends_with_the_bytes_of_one_that_was_not(
    tmp_path: Path, base: Path, engine: EnginePort, whole: dict[str, bytes], when: str
) -> None:
    command = [sys.executable, "-m", "tests.trainer.killed_run", str(tmp_path), str(base), when]
    killed = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    trainer_env = TrainerEnv(directory=tmp_path, port=engine)
    trainer_env.outlast(6.0)
    assert trainer_env.trainer.run_once()
    job = trainer_env.trainer.list(TENANT)[0]
    assert (job.status, job.attempt) == (Status.SUCCEEDED, 2)
    codes = [event.code for event in trainer_env.trainer.events(TENANT, job.id, limit=1000)]
    assert "training.resumed" in codes
    assert list((tmp_path / "checkpoints").iterdir()) == []
    assert published(trainer_env) == whole
