"""The last checkpoint of each run in the shared store, from which a worker on another machine goes
on. Knows stored content and claims; no engine.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from adapters_registry.errors import BlobCorrupt, BlobMissing
from adapters_registry.storage import private
from adapters_registry.storage.blobs import Blob, Blobs
from adapters_registry.storage.host_cache import hash_file
from trainer.errors import StorageFailed
from trainer.jobs.checkpoint_table import CheckpointFile
from trainer.jobs.store import JobStore
from trainer.jobs.values import Claim
from trainer.storage_errors import storing

_ATTEMPTS = 3


class SharedCheckpoints:
    """Of all jobs. Only the claim that holds a job stores its checkpoints."""

    def __init__(self, store: JobStore, blobs: Blobs) -> None:
        self._store, self._table, self._blobs = store, store.checkpoints, blobs

    def store(self, claim: Claim, run: str, files: Mapping[str, Path]) -> None:
        """In the place of the run's checkpoint before. Raises LeaseLost and StorageFailed."""
        with storing("The checkpoint could not be stored"):
            for _ in range(_ATTEMPTS):
                # what was stored may be collected until a row names it
                stored = {name: self._blobs.put(path) for name, path in files.items()}
                with self._table.write():
                    if self._blobs.keep(stored.values()):
                        rows = [_row(claim, run, name, blob) for name, blob in stored.items()]
                        self._table.replace(claim, run, rows, self._store.clock())
                        return
        raise StorageFailed("The checkpoint was collected each time it was stored.")

    def token(self, claim: Claim) -> int:
        """Of the last claim of the job that stored one; 0 where none did."""
        return max((file.token for file in self._table.list(claim)), default=0)

    def fetch(self, claim: Claim, folder: Path) -> None:
        """Fill a new folder, with one for each run; a run whose content is gone begins anew. Raises
        StorageFailed.
        """
        gone: set[str] = set()
        with storing("The job's checkpoints cannot be fetched"):
            private.make_directory(folder)
            for file in self._table.list(claim):
                if file.run not in gone and not self._copy(file, folder / file.run / file.name):
                    gone.add(file.run)
                    shutil.rmtree(folder / file.run, ignore_errors=True)

    def drop(self, job_id: str) -> None:
        """Raises StorageFailed."""
        self._table.drop(job_id)

    def sweep(self, older_than_s: float) -> None:
        """Drop those of jobs that ended longer ago. Raises StorageFailed."""
        self._table.drop_ended(self._store.clock() - older_than_s)

    def _copy(self, file: CheckpointFile, target: Path) -> bool:
        """Whether a copy with the right bytes is there now. Where the first one had wrong ones, the
        blob is examined, which mends what can be mended.
        """
        if self._copy_once(file, target):
            return True
        return self._blobs.examine(file.sha256) and self._copy_once(file, target)

    def _copy_once(self, file: CheckpointFile, target: Path) -> bool:
        try:
            source = self._blobs.path(file.sha256, file.size)
            private.make_directory(target.parent)
            shutil.copyfile(source, target)
        except (BlobMissing, BlobCorrupt, FileNotFoundError):
            return False
        target.chmod(0o600)
        return hash_file(target) == file.sha256


def _row(claim: Claim, run: str, name: str, blob: Blob) -> CheckpointFile:
    return CheckpointFile(run=run, name=name, sha256=blob.sha256, size=blob.size, token=claim.token)
