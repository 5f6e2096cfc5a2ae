"""One shared state per test, on SQLite and on PostgreSQL, with a directory of bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters_registry.registry import Registry
from adapters_registry.storage.database import Database
from adapters_registry.storage.shared_state import SharedState


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database that has its tables."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'adapterd.db'}"
    else:
        url = request.getfixturevalue("postgres_url")
    Database.open(url, migrate=True).close()
    return url


@pytest.fixture
def state(database_url: str, tmp_path: Path) -> Iterator[SharedState]:
    opened = SharedState.open(tmp_path, database_url=database_url)
    yield opened
    opened.close()


@pytest.fixture
def registry(state: SharedState) -> Registry:
    return Registry(state)
