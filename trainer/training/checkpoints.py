"""The folders of checkpoints: one for each job, in it one for the claim that may write now, in that
one for each run. Knows files and claims; no engine.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from adapters_registry.storage import private
from engine.atomic_files import is_unfinished, remove
from trainer.errors import LeaseLost
from trainer.jobs.values import Claim
from trainer.storage_errors import storing
from trainer.training.run_checkpoints import RunCheckpoints

_log = logging.getLogger(__name__)


class JobCheckpoints:
    """What one claim of a job may write to, until another worker's claim takes it away."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(self, name: str) -> RunCheckpoints:
        return RunCheckpoints(self._folder / name)

    def sweep(self) -> None:
        for path in self._folder.iterdir():
            if is_unfinished(path):
                remove(path)
            elif path.is_dir():
                RunCheckpoints(path).sweep()


class Checkpoints:
    """All jobs' folders under one directory."""

    def __init__(self, directory: Path, clock: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._clock = clock

    def take(self, claim: Claim) -> JobCheckpoints:
        """What the claims before left, by a name that those no longer write to: whoever still holds
        one of them finds no folder there. Raises LeaseLost where a later claim came first, and
        StorageFailed.
        """
        with storing("The job's folder of checkpoints cannot be used"):
            return self._take(claim)

    def _take(self, claim: Claim) -> JobCheckpoints:
        job = self._directory / claim.job.id
        private.make_directory(job)
        tokens = sorted(int(path.name) for path in job.iterdir() if path.name.isdecimal())
        mine = job / str(claim.token)
        if tokens and tokens[-1] > claim.token:
            raise LeaseLost(f"The job {claim.job.id!r} is held by another worker now.")
        if tokens and tokens[-1] < claim.token:
            (job / str(tokens.pop())).rename(mine)
        mine.mkdir(mode=0o700, exist_ok=True)
        for token in tokens:
            if token != claim.token:
                remove(job / str(token))
        taken = JobCheckpoints(mine)
        taken.sweep()
        return taken

    def drop(self, job_id: str) -> None:
        """The job ended well: nothing goes on from it."""
        remove(self._directory / job_id)

    def keep(self, job_id: str) -> None:
        """The job failed: its last checkpoint stays for a while, for whoever wants to know why."""
        now = self._clock()
        with suppress(OSError):
            os.utime(self._directory / job_id, (now, now))

    def sweep(self, unfinished_ids: Collection[str], older_than_s: float) -> None:
        """Drop what ended jobs left, once it is old enough; what cannot be looked at stays."""
        oldest = self._clock() - older_than_s
        try:
            for path in self._directory.iterdir():
                if path.name not in unfinished_ids and path.stat().st_mtime < oldest:
                    remove(path)
        except FileNotFoundError:
            return
        except OSError as error:
            _log.warning("old checkpoints stay: %s", error, extra={"action": "sweep.failed"})
