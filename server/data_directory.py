"""The data directory: registry/, files/, checkpoints/, jobs.db and the secret of links. The
composition root opens it once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from adapters_registry.errors import RegistryError
from adapters_registry.registry import CACHE_ENTRIES, Registry
from adapters_registry.storage import private
from server.errors import BadDataDirectory
from trainer.errors import TrainerError
from trainer.jobs.file_store import FileStore
from trainer.jobs.store import JobStore
from trainer.training.checkpoints import Checkpoints

#: the file whose contents sign the links to reports; all servers of the directory share it
LINK_FILE = "link_secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Everything that outlives the server."""

    registry: Registry
    store: JobStore
    files: FileStore
    checkpoints: Checkpoints

    @classmethod
    def open(cls, directory: Path, cache_entries: int = CACHE_ENTRIES) -> Data:
        """Makes what is missing and sweeps what crashed writers left. `cache_entries` is how many
        refs the registry remembers. Raises BadDataDirectory.
        """
        # children that read its files for this process have another working directory
        directory = directory.absolute()
        try:
            private.make_directory(directory)
            private.tighten(directory)
            _probe(directory)
            registry = Registry.open(directory / "registry", cache_entries=cache_entries)
            store = JobStore.open(directory / "jobs.db")
            files = FileStore(directory / "files", store)
            files.sweep()
        except OSError as error:
            reason = error.strerror or str(error)
            raise BadDataDirectory(
                f"the data directory {directory} cannot be written: {reason}"
            ) from error
        except (RegistryError, TrainerError) as error:
            raise BadDataDirectory(
                f"the data directory {directory} cannot be used: {error}"
            ) from error
        checkpoints = Checkpoints(directory / "checkpoints")
        return cls(registry=registry, store=store, files=files, checkpoints=checkpoints)

    def close(self) -> None:
        self.store.close()
        self.registry.close()


def _probe(directory: Path) -> None:
    """Better a clear sentence now than a failed upload later."""
    probe = directory / f".probe-{os.getpid()}"
    probe.write_bytes(b"")
    probe.unlink()
