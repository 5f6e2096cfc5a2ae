"""Shared states to die on: a laptop's, with SQLite and a directory, and one in PostgreSQL and S3.
Knows no version and no job.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import obstore

from adapters_registry.storage.database import Database
from adapters_registry.storage.shared_state import SharedState
from tests.services.databases import Databases
from tests.services.s3 import S3Bucket


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a state is; another process finds it by this."""

    directory: Path
    database_url: str | None = None
    blobs_url: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def open(self, clock: Callable[[], float] = time.time) -> SharedState:
        """As a server that starts does."""
        os.environ.update(self.environment)
        return SharedState.open(
            self.directory,
            database_url=self.database_url,
            blobs_url=self.blobs_url,
            clock=clock,
        )

    def attach(self) -> SharedState:
        """Without a look at the schema, which takes longer than most actions do."""
        os.environ.update(self.environment)
        return SharedState.attach(
            self.directory, database_url=self.database_url, blobs_url=self.blobs_url
        )


class Places(Protocol):
    """Copies of one state."""

    @property
    def original(self) -> Place: ...

    def copy(self, number: int) -> Place:
        """An untouched copy of what the original holds now. The one before it may be gone."""


class EmbeddedPlaces:
    """Folders of one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.original = Place(directory=root / "original")

    def copy(self, number: int) -> Place:
        place = Place(directory=self._root / str(number))
        shutil.copytree(self.original.directory, place.directory)
        return place


class RemotePlaces:
    """Databases of one server and prefixes of one bucket; of a machine that died, nothing else is
    left. `close` drops the databases.
    """

    def __init__(self, root: Path, databases: Databases, bucket: S3Bucket) -> None:
        self._root = root
        self._databases = databases
        self._store = bucket.open_store()
        self._bucket = bucket
        self._copy: str | None = None
        url = databases.create()
        self.original = self._make_place("original", url)
        Database.open(url, migrate=True).close()

    def copy(self, number: int) -> Place:
        self._drop_copy()
        assert self.original.database_url is not None
        self._copy = self._databases.copy(self.original.database_url)
        for page in obstore.list(self._store, prefix="original"):
            for each in page:
                name = each["path"].removeprefix("original")
                obstore.copy(self._store, each["path"], f"{number}{name}")
        return self._make_place(str(number), self._copy)

    def close(self) -> None:
        self._drop_copy()
        assert self.original.database_url is not None
        self._databases.drop(self.original.database_url)

    def _drop_copy(self) -> None:
        if self._copy is not None:
            self._databases.drop(self._copy)

    def _make_place(self, name: str, database_url: str) -> Place:
        return Place(
            directory=self._root / name,
            database_url=database_url,
            blobs_url=f"{self._bucket.url}/{name}",
            environment=self._bucket.environment,
        )
