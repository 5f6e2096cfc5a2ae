"""A registry over each pair of storages: what holds over one holds over the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adapters_registry.registry import Registry
from adapters_registry.storage.blobs import Blobs
from adapters_registry.storage.collection.collector import Collector
from adapters_registry.storage.database import Database
from adapters_registry.storage.shared_state import SharedState
from server.upkeep.storage import REFERENCES
from tests.services.s3 import S3Bucket
from tests.storage.toy_blob import CONTENT


@dataclass(slots=True, kw_only=True)
class Clock:
    """Stands still until it is moved."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True, kw_only=True)
class Place:
    """A registry, what it stands on, and its collector."""

    state: SharedState
    registry: Registry
    clock: Clock
    open_another: Callable[[], SharedState] = field(repr=False)

    @property
    def database(self) -> Database:
        return self.state.database

    @property
    def blobs(self) -> Blobs:
        return self.state.blobs

    def collector(self, *, orphan_age_s: float = 0.0) -> Collector:
        return Collector(self.database, self.blobs, REFERENCES, orphan_age_s=orphan_age_s)


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Place]:
    yield from _place(tmp_path, None, None)


@pytest.fixture
def bucket_url(s3_bucket: S3Bucket, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in s3_bucket.environment.items():
        monkeypatch.setenv(name, value)
    return s3_bucket.url


@pytest.fixture
def shared(tmp_path: Path, postgres_url: str, bucket_url: str) -> Iterator[Place]:
    """PostgreSQL and a bucket; skipped where they cannot be had."""
    Database.open(postgres_url, migrate=True).close()
    yield from _place(tmp_path, postgres_url, bucket_url)


@pytest.fixture(params=["embedded", "shared"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found


def _place(folder: Path, database_url: str | None, blobs_url: str | None) -> Iterator[Place]:
    clock = Clock()

    def open_state(name: str = "data") -> SharedState:
        return SharedState.open(
            folder / name, database_url=database_url, blobs_url=blobs_url, clock=clock
        )

    state = open_state()
    others: list[SharedState] = []

    def open_another() -> SharedState:
        """As a second server has it: a directory of its own, where state is shared."""
        others.append(open_state("other" if database_url else "data"))
        return others[-1]

    yield Place(state=state, registry=Registry(state), clock=clock, open_another=open_another)
    for each in (*others, state):
        each.close()


@pytest.fixture
def blobs(state: SharedState) -> Blobs:
    return state.blobs


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path
