"""Opens everything that outlives a server: in its data directory, or in the database and the bucket
that it shares with others. The composition root opens it once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from adapters_registry.errors import RegistryError
from adapters_registry.index.sql_index import TASKS_CHANGED
from adapters_registry.registry import Registry
from adapters_registry.storage import private
from adapters_registry.storage.collection.background import BackgroundCollection
from adapters_registry.storage.news import News
from adapters_registry.storage.shared_state import SharedState
from server.auth.shared_secret import shared_secret
from server.config import Settings
from server.errors import BadDataDirectory
from server.upkeep.storage import build_collector, record_quarantines
from trainer.errors import TrainerError
from trainer.jobs.file_store import FileStore
from trainer.jobs.store import JobStore
from trainer.training.checkpoints import Checkpoints

#: the name of the secret that signs the links to reports
LINK = "link"


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Everything that outlives the server, and the news of what others do to it."""

    state: SharedState
    news: News
    collection: BackgroundCollection
    registry: Registry
    store: JobStore
    files: FileStore
    checkpoints: Checkpoints
    link_secret: bytes = field(repr=False)

    @classmethod
    def open(cls, settings: Settings) -> Data:
        """Makes what is missing and sweeps what crashed writers left. Raises BadDataDirectory."""
        # children that read its files for this process have another working directory
        directory = settings.data_dir.absolute()
        try:
            private.make_directory(directory)
            private.tighten(directory)
            _probe(directory)
            state = SharedState.open(
                directory,
                database_url=settings.database_url,
                blobs_url=settings.blobs_url,
                cache_bytes=settings.cache_bytes,
            )
            return cls._over(state, settings, directory)
        except OSError as error:
            reason = error.strerror or str(error)
            raise BadDataDirectory(
                f"the data directory {directory} cannot be written: {reason}"
            ) from error
        except (RegistryError, TrainerError) as error:
            where = f"the data directory {directory}"
            if settings.database_url or settings.blobs_url:
                where = "the shared state"
            raise BadDataDirectory(f"{where} cannot be used: {error}") from error

    @classmethod
    def _over(cls, state: SharedState, settings: Settings, directory: Path) -> Data:
        record_quarantines(state)
        registry = Registry(state, cache_entries=settings.resolve_cache_entries)
        registry.refresh()
        news = News(state.database, settings.poll_s)
        news.follow(TASKS_CHANGED, registry.refresh)
        store = JobStore(state.database)
        files = FileStore(state.blobs, store, directory / "uploads")
        files.sweep()
        return cls(
            state=state,
            news=news,
            collection=BackgroundCollection(
                build_collector(state), settings.collect_every_s, settings.collect_grace_s
            ),
            registry=registry,
            store=store,
            files=files,
            checkpoints=Checkpoints(directory / Checkpoints.FOLDER, store, state.blobs),
            link_secret=shared_secret(state.database, LINK),
        )

    def start(self) -> None:
        """Begin to hear of others' changes, and to collect what nothing refers to any more."""
        self.news.start()
        self.collection.start()

    def close(self) -> None:
        self.collection.close()
        self.news.close()
        self.state.close()


def _probe(directory: Path) -> None:
    """Better a clear sentence now than a failed upload later."""
    probe = directory / f".probe-{os.getpid()}"
    probe.write_bytes(b"")
    probe.unlink()
