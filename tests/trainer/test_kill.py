"""`kill -9` in the middle of a job: it is taken up again, and there is one version or none."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainer.build import TENANT, TrainerEnv
from trainer.jobs.states import Status


@pytest.mark.survival("F3")
@pytest.mark.parametrize("when", ["training", "published"])
def test_a_job_whose_process_is_killed_is_taken_up_again_once_its_lease_ends(
    tmp_path: Path, when: str
) -> None:
    command = [sys.executable, "-m", "tests.trainer.killed_worker", str(tmp_path), when]
    killed = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    trainer_env = TrainerEnv(directory=tmp_path)
    job = trainer_env.trainer.list(TENANT)[0]
    assert job.status is Status.RUNNING
    assert trainer_env.trainer.run_once() is False
    trainer_env.outlast(6.0)
    assert trainer_env.trainer.run_once() is True
    job = trainer_env.trainer.get(TENANT, job.id)
    assert (job.status, job.attempt, job.version) == (Status.SUCCEEDED, 2, 1)
    assert [v.number for v in trainer_env.registry.versions(TENANT, "mood")] == [1]
    assert not list((tmp_path / "staging").glob("*"))
    trainer_env.close()
