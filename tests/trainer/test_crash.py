"""kill -9 between any two steps of an upload, a deletion, a submission: it happened or did not."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from tests.trainer.build import TENANT, TrainerEnv
from trainer.jobs.values import JobSpec

MAX_STEPS = 200
#: what Python says before it changes a folder or a file
CHANGES = {"open", "os.rename", "os.remove", "os.mkdir", "os.truncate"}

pytestmark = [
    pytest.mark.survival("G1"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]


def run_and_die(directory: Path, die_at: int, act: Callable[[TrainerEnv], object]) -> bool:
    """Run `act` in a child that dies before the step; whether it died."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        left = -1

        def step(*_: object) -> None:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

        try:
            trainer_env = TrainerEnv(directory=directory)
            for name in ("before_cursor_execute", "commit"):
                event.listen(Engine, name, step)
            sys.addaudithook(lambda name, _: step() if name in CHANGES else None)
            fsync = os.fsync
            os.fsync = lambda file: (step(), fsync(file))[1]
            left = die_at
            act(trainer_env)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def sweep_steps(tmp_path: Path, act: Callable[[TrainerEnv], object]) -> list[tuple[int, int]]:
    """How many files and jobs there are after a death at each step; those are whole."""
    before = TrainerEnv(directory=tmp_path / "before")
    before.upload(b"first")
    before.close()
    seen: list[tuple[int, int]] = []
    for die_at in range(MAX_STEPS):
        directory = tmp_path / str(die_at)
        shutil.copytree(tmp_path / "before", directory)
        died = run_and_die(directory, die_at, act)
        trainer_env = TrainerEnv(directory=directory)
        trainer_env.clock.now = 2e10  # whatever is left over is old by now
        trainer_env.files.sweep()
        records = trainer_env.files.list(TENANT)
        for record in records:
            assert len(trainer_env.files.read(TENANT, record.id)) == record.bytes
        stored = {path.name for path in (directory / "files").iterdir()}
        assert stored == {record.id for record in records}
        jobs = trainer_env.store.list_jobs(TENANT, None, 100)
        for job in jobs:
            assert [
                each.code for each in trainer_env.store.list_events(TENANT, job.id, limit=9)
            ] == ["job.queued"]
        seen.append((len(records), len(jobs)))
        trainer_env.close()
        if not died:
            return seen
    raise AssertionError("the child never came to its end")


def test_a_kill_at_any_step_of_an_upload_leaves_it_whole_or_absent(tmp_path: Path) -> None:
    seen = sweep_steps(tmp_path, lambda trainer_env: trainer_env.upload(b"second"))
    assert len(seen) > 5
    assert list(dict.fromkeys(seen)) == [(1, 0), (2, 0)]


def test_a_kill_at_any_step_of_a_file_s_deletion_leaves_it_whole_or_gone(tmp_path: Path) -> None:
    def delete(trainer_env: TrainerEnv) -> None:
        (record,) = trainer_env.files.list(TENANT)
        trainer_env.files.delete(TENANT, record.id)

    assert list(dict.fromkeys(sweep_steps(tmp_path, delete))) == [(1, 0), (0, 0)]


def test_a_kill_at_any_step_of_a_submission_leaves_a_whole_job_or_none(tmp_path: Path) -> None:
    def submit(trainer_env: TrainerEnv) -> None:
        (record,) = trainer_env.files.list(TENANT)
        spec = JobSpec(tenant=TENANT, task="mood", file_id=record.id)
        trainer_env.store.submit("job-1", spec)

    assert list(dict.fromkeys(sweep_steps(tmp_path, submit))) == [(1, 0), (1, 1)]
