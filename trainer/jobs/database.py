"""The trainer's SQLite database: opens and migrates it, and runs transactions. Knows no statement
about files or jobs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from adapters_registry.index.sqlite_fault import (
    SQLITE_ERRORS,
    SqliteFault,
    sqlite_fault,
    sqlite_words,
)
from adapters_registry.storage import private
from trainer.errors import OutOfFiles, StorageBusy, StorageFailed, StorageFull
from trainer.jobs.schema import METADATA, SCHEMA_VERSION, STEPS, sqlite_engine
from trainer.storage_errors import storing

_KINDS: dict[SqliteFault, type[StorageFailed]] = {
    SqliteFault.BUSY: StorageBusy,
    SqliteFault.FULL: StorageFull,
    SqliteFault.OUT_OF_FILES: OutOfFiles,
}


class Database:
    """Safe to use from several threads and processes."""

    def __init__(self, engine: sa.Engine) -> None:
        self._writes = engine
        self._reads = engine.execution_options(reads=True)
        with self._writes.begin() as db:
            _migrate(db)
        # on a connection that never writes, `data_version` changes whenever another commits
        self._watch = engine.raw_connection()
        self._watching = threading.Lock()

    @classmethod
    def open(cls, path: Path) -> Database:
        """Raises StorageFailed."""
        problem = f"The job database {path} cannot be opened"
        with storing(problem):
            private.make_directory(path.parent)
            private.make_file(path)
        with _translate_errors(problem):
            return cls(sqlite_engine(path))

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction. Raises StorageFailed, and is rolled back then."""
        with _translate_errors("The job database cannot be written"), self._writes.begin() as db:
            yield db

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Raises StorageFailed."""
        with _translate_errors("The job database cannot be read"), self._reads.begin() as db:
            yield db

    def generation(self) -> int:
        """A number that changes whenever any process has written. Raises StorageFailed."""
        with self._watching, _translate_errors("The job database cannot be read"):
            cursor = self._watch.cursor()
            cursor.execute("PRAGMA data_version")
            [[generation]] = cursor.fetchall()
            cursor.close()
        return int(generation)

    def close(self) -> None:
        with self._watching:
            self._watch.close()
        self._writes.dispose()


@contextmanager
def _translate_errors(problem: str) -> Iterator[None]:
    try:
        yield
    except SQLITE_ERRORS as error:
        kind = _KINDS.get(sqlite_fault(error), StorageFailed)
        raise kind(f"{problem}: {sqlite_words(error)}.") from error


def _migrate(db: sa.Connection) -> None:
    """Forward only, in one transaction: if the server dies half-way, the tables are unchanged."""
    version = int(db.exec_driver_sql("PRAGMA user_version").scalar_one())
    if version > SCHEMA_VERSION:
        raise StorageFailed(
            f"The job database has schema {version}, and this release supports up to "
            f"{SCHEMA_VERSION}; upgrade adapterd."
        )
    if sa.inspect(db).has_table("jobs"):
        for statement in (each for step in STEPS[version:] for each in step):
            db.exec_driver_sql(statement)
    METADATA.create_all(db)
    db.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
