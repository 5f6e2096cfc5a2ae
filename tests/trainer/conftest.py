"""Fixtures of the trainer's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from adapters_registry.storage.database import Database
from tests.trainer.build import TrainerEnv
from tests.trainer.storage import Storage

if TYPE_CHECKING:
    from tests.services.databases import Databases
    from tests.services.s3 import S3Bucket

MakeEnv = Callable[..., TrainerEnv]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "storage" in metafunc.fixturenames:
        storages = getattr(metafunc.module, "STORAGES", ("sqlite",))
        metafunc.parametrize("storage", storages, indirect=True)


@pytest.fixture(scope="session")
def migrated_database(databases: Databases) -> Iterator[str]:
    """With all tables and no row: a copy of it costs less than migrating another."""
    url = databases.create()
    Database.open(url, migrate=True).close()
    yield url
    databases.drop(url)


@pytest.fixture
def storage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    if request.param == "sqlite":
        yield Storage()
        return
    databases: Databases = request.getfixturevalue("databases")
    bucket: S3Bucket = request.getfixturevalue("s3_bucket")
    url = databases.copy(request.getfixturevalue("migrated_database"))
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    yield Storage(database_url=url, blobs_url=bucket.url)
    databases.drop(url)


@pytest.fixture
def open_env(tmp_path: Path, storage: Storage) -> Iterator[MakeEnv]:
    """Trainers over one state: a directory of its own is a machine of its own, where they share
    more than a directory.
    """
    made: list[TrainerEnv] = []

    def make(directory: Path = tmp_path, **given: Any) -> TrainerEnv:
        made.append(TrainerEnv(directory=directory, storage=storage, **given))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def trainer_env(open_env: MakeEnv) -> TrainerEnv:
    return open_env()
