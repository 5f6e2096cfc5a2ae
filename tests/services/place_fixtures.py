"""Empty places for rows and bytes, over each storage: what holds over one holds over the other."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# what these import is not spent by a run that needs no place
if TYPE_CHECKING:
    from adapters_registry.storage.shared_state import SharedState
    from tests.services.databases import Databases
    from tests.services.place import Place
    from tests.services.s3 import S3Bucket

#: tables that belong to the schema, not to what is stored
_OF_THE_SCHEMA = {"alembic_version", "schema_compatibility"}


@pytest.fixture(scope="session")
def migrated_database_url(databases: Databases) -> Iterator[str]:
    """One for all tests of a worker, which is emptied for each: making one takes far longer."""
    from adapters_registry.storage.database import Database

    url = databases.create()
    Database.open(url, migrate=True).close()
    yield url
    databases.drop(url)


@pytest.fixture(scope="session")
def places_bucket(create_bucket: Callable[[], S3Bucket]) -> Iterator[S3Bucket]:
    bucket = create_bucket()
    yield bucket
    bucket.clear()


@pytest.fixture
def new_shared_place(
    migrated_database_url: str,
    places_bucket: S3Bucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[], Place]:
    """Makes an empty place in PostgreSQL and S3, and empties the one that it made before."""
    from tests.services.place import Place

    for name, value in places_bucket.environment.items():
        monkeypatch.setenv(name, value)

    def make() -> Place:
        _empty(migrated_database_url)
        name = uuid.uuid4().hex
        return Place(
            directory=tmp_path / name,
            database_url=migrated_database_url,
            blobs_url=f"{places_bucket.url}/{name}",
        )

    return make


@pytest.fixture
def shared_place(new_shared_place: Callable[[], Place]) -> Place:
    return new_shared_place()


@pytest.fixture(params=["directory", "shared"])
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Place]:
    """Makes an empty place: SQLite and a directory always; PostgreSQL and S3 where they are."""
    from tests.services.place import Place

    if request.param == "shared":
        make: Callable[[], Place] = request.getfixturevalue("new_shared_place")
        return make
    return lambda: Place(directory=tmp_path / uuid.uuid4().hex)


@pytest.fixture
def place(new_place: Callable[[], Place]) -> Place:
    return new_place()


@pytest.fixture
def state(new_place: Callable[[], Place]) -> Iterator[SharedState]:
    opened = new_place().open()
    yield opened
    opened.close()


def _empty(database_url: str) -> None:
    import psycopg
    from sqlalchemy import make_url

    url = make_url(database_url).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = {name for (name,) in found} - _OF_THE_SCHEMA
        # a tenth of what TRUNCATE takes; in this session, references are not looked at
        deletions = [f"DELETE FROM {name};" for name in sorted(tables)]
        connection.execute("SET session_replication_role = replica;" + "".join(deletions))
