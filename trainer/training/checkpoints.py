"""The folders of checkpoints: one for each job, in it one for the claim that may write now, in that
one for each run. Where workers run on several machines, a copy of each run's last checkpoint is in
the shared store. Knows files and claims; no engine.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

from adapters_registry.storage import private
from adapters_registry.storage.blobs import Blobs
from engine.atomic_files import is_unfinished, remove
from trainer.errors import LeaseLost, StorageFailed
from trainer.jobs.store import JobStore
from trainer.jobs.values import Claim
from trainer.storage_errors import storing
from trainer.training.run_checkpoints import RunCheckpoints
from trainer.training.shared_checkpoints import SharedCheckpoints

_log = logging.getLogger(__name__)


class JobCheckpoints:
    """What one claim of a job may write to, until another worker's claim takes it away."""

    def __init__(self, folder: Path, claim: Claim, shared: SharedCheckpoints | None = None) -> None:
        self._folder, self._claim, self._shared = folder, claim, shared

    def run(self, name: str) -> RunCheckpoints:
        return RunCheckpoints(self._folder / name)

    def share(self, name: str) -> None:
        """Let workers of other machines have the run's last checkpoint, if there may be such
        workers. Raises LeaseLost and StorageFailed.
        """
        if self._shared is None:
            return
        with storing("The checkpoint could not be read"):
            files = self.run(name).files()
        if files:  # none where a later claim took the folder away
            self._shared.store(self._claim, name, files)

    def sweep(self) -> None:
        for path in self._folder.iterdir():
            if is_unfinished(path):
                remove(path)
            elif path.is_dir():
                RunCheckpoints(path).sweep()


class Checkpoints:
    """All jobs' folders under one directory of this machine."""

    #: that directory's name in the data directory
    FOLDER: ClassVar = "checkpoints"

    def __init__(
        self,
        directory: Path,
        store: JobStore,
        blobs: Blobs,
        *,
        are_shared: bool | None = None,
    ) -> None:
        """By default they are shared unless the database is SQLite, which has one machine's workers
        only: those share the directory.
        """
        self._directory, self._store = directory, store
        self._clock = store.clock
        if are_shared is None:
            are_shared = not blobs.database.is_sqlite
        self._shared = SharedCheckpoints(store, blobs) if are_shared else None

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
        if self._shared is not None and self._shared.token(claim) > max(tokens, default=0):
            self._fetch(claim, mine)
        elif tokens and tokens[-1] < claim.token:
            (job / str(tokens.pop())).rename(mine)
        mine.mkdir(mode=0o700, exist_ok=True)
        for token in tokens:
            if token != claim.token:
                remove(job / str(token))
        taken = JobCheckpoints(mine, claim, self._shared)
        taken.sweep()
        return taken

    def _fetch(self, claim: Claim, mine: Path) -> None:
        """What a worker of another machine stored after the last one of this machine. A fetch that
        is killed leaves nothing that looks like a claim's folder.
        """
        assert self._shared is not None
        part = mine.with_name(f".{mine.name}.part")
        remove(part)
        self._shared.fetch(claim, part)
        part.rename(mine)

    def drop(self, job_id: str) -> None:
        """The job ended well: nothing goes on from it."""
        remove(self._directory / job_id)
        if self._shared is not None:
            with _leaving("the checkpoints of an ended job"):
                self._shared.drop(job_id)

    @classmethod
    def drop_erased(cls, data_dir: Path, job_ids: Collection[str]) -> None:
        """Of this machine, without a store; a worker's sweep finds those of others."""
        for job_id in job_ids:
            if Path(job_id).name == job_id:  # the row of a job may be damaged
                remove(data_dir / cls.FOLDER / job_id)

    def keep(self, job_id: str) -> None:
        """The job failed: its last checkpoint stays for a while, for whoever wants to know why."""
        now = self._clock()
        with suppress(OSError):
            os.utime(self._directory / job_id, (now, now))

    def sweep(self, unfinished_ids: Collection[str], older_than_s: float) -> None:
        """Drop what ended jobs left, once it is old enough or was erased; what cannot be looked at
        stays.
        """
        oldest = self._clock() - older_than_s
        with _leaving("old checkpoints"):
            paths = list(self._directory.iterdir()) if self._directory.exists() else []
            ended = [path for path in paths if path.name not in unfinished_ids]
            erased = self._store.find_erased([path.name for path in ended])
            for path in ended:
                if path.name in erased or path.stat().st_mtime < oldest:
                    remove(path)
            if self._shared is not None:
                self._shared.sweep(older_than_s)


@contextmanager
def _leaving(what: str) -> Iterator[None]:
    """They are in nobody's way: a sweep finds them another time."""
    try:
        with storing("checkpoints cannot be removed"):
            yield
    except StorageFailed as error:
        _log.warning("%s stay: %s", what, error, extra={"action": "sweep.failed"})
