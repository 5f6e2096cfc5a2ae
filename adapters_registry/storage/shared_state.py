"""Opens what outlives a server: one database for rows, and blobs for bytes. Knows no table but that
of blobs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from adapters_registry.errors import StorageError
from adapters_registry.storage import private
from adapters_registry.storage.blobs import Blobs
from adapters_registry.storage.database import Database
from adapters_registry.storage.database_engines import is_sqlite, make_engine
from adapters_registry.storage.directory_store import DirectoryStore
from adapters_registry.storage.disk import Disk, storing
from adapters_registry.storage.earlier_release import find_databases, take_over
from adapters_registry.storage.host_cache import HostCache
from adapters_registry.storage.url_store import UrlStore

_log = logging.getLogger(__name__)
DATABASE_FILE, BLOBS = "adapterd.db", "blobs"
_CACHE_BYTES = 10 * 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedState:
    """Of one server, or of several; `directory` is of this machine alone."""

    database: Database
    blobs: Blobs
    directory: Path

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        database_url: str | None = None,
        blobs_url: str | None = None,
        cache_bytes: int = _CACHE_BYTES,
        clock: Callable[[], float] = time.time,
        disk: Disk | None = None,
    ) -> SharedState:
        """SQLite and a folder of the directory where no URL is given. Removes what crashed writers
        of this machine left half-written. Raises StorageError.
        """
        disk = disk or Disk()
        database = open_database(directory, database_url, blobs_url, disk)
        try:
            blobs = _open_blobs(database, directory, blobs_url, cache_bytes, clock, disk)
            blobs.sweep()
        except BaseException:
            database.close()
            raise
        return cls(database=database, blobs=blobs, directory=directory)

    @classmethod
    def attach(
        cls,
        directory: Path,
        *,
        database_url: str | None = None,
        blobs_url: str | None = None,
        cache_bytes: int = _CACHE_BYTES,
        clock: Callable[[], float] = time.time,
        creates: bool = False,
    ) -> SharedState:
        """As it is: the schema is neither looked at nor changed, and nothing is swept. Only with
        `creates`, for whoever restores or migrates it, is made what is missing, and the data of an
        earlier release taken over. Raises StorageError.
        """
        disk = Disk()
        if creates:
            _create(directory, database_url, blobs_url, disk)
        else:
            _require(directory, database_url, blobs_url)
        database = Database(make_engine(database_url or _sqlite_url(directory)))
        blobs = _open_blobs(
            database, directory, blobs_url, cache_bytes, clock, disk, reads_only=not creates
        )
        return cls(database=database, blobs=blobs, directory=directory)

    def close(self) -> None:
        self.database.close()


def open_database(
    directory: Path,
    database_url: str | None = None,
    blobs_url: str | None = None,
    disk: Disk | None = None,
) -> Database:
    """The rows alone, for commands that read no bytes. Raises StorageError."""
    disk = disk or Disk()
    disk.prepare(directory)
    if database_url is None and blobs_url is None:
        take_over(directory, directory / DATABASE_FILE, directory / BLOBS, disk)
    else:
        _refuse_beside_earlier(directory, database_url)
        _warn_of_unused(directory, database_url)
    return Database.open(database_url or _sqlite_url(directory))


def _create(directory: Path, database_url: str | None, blobs_url: str | None, disk: Disk) -> None:
    disk.prepare(directory)
    if database_url is None and blobs_url is None:
        take_over(directory, directory / DATABASE_FILE, directory / BLOBS, disk)
    else:
        _refuse_beside_earlier(directory, database_url)
    if (file := _sqlite_file(directory, database_url)) is not None:
        with storing("open the database"):
            private.make_file(file)


def _require(directory: Path, database_url: str | None, blobs_url: str | None) -> None:
    """A database that is there already. Raises StorageError."""
    file = _sqlite_file(directory, database_url)
    if file is None or file.is_file():
        return
    if database_url is None and blobs_url is None and find_databases(directory):
        raise StorageError(
            f"{directory} holds data of an earlier release; start its server once with this "
            "release, or run `adapterd migrate`, to take it over"
        )
    raise StorageError(
        f"there is no database {file}; name the data directory of a server, or make a new database "
        "with `adapterd migrate`"
    )


def _sqlite_file(directory: Path, database_url: str | None) -> Path | None:
    """None where the database is another, or in memory."""
    engine = make_engine(database_url or _sqlite_url(directory))
    name = engine.url.database if is_sqlite(engine) else None
    return Path(name) if name and name != ":memory:" else None


def _refuse_beside_earlier(directory: Path, database_url: str | None) -> None:
    """A new database in the directory would keep the data of an earlier release from being taken
    over for ever.
    """
    if database_url is not None or (directory / DATABASE_FILE).exists():
        return
    if earlier := find_databases(directory):
        raise StorageError(
            f"{earlier[0]} holds data of an earlier release, which blobs_url would leave aside; "
            "start once without blobs_url to take it over, then use `adapterd backup` and "
            "`adapterd restore` to move it"
        )


def _warn_of_unused(directory: Path, database_url: str | None) -> None:
    """A database in the directory, of this release or an earlier one, that the URLs leave aside."""
    unused = find_databases(directory)
    if database_url is not None and (directory / DATABASE_FILE).is_file():
        unused.append(directory / DATABASE_FILE)
    if unused:
        _log.warning(
            "%s is not used, as database_url or blobs_url names another place; to move what is in "
            "it, start once without them, then use `adapterd backup` and `adapterd restore`",
            ", ".join(map(str, unused)),
            extra={"action": "data.unused"},
        )


def _sqlite_url(directory: Path) -> sa.URL:
    return sa.URL.create("sqlite", database=str(directory / DATABASE_FILE))


def _open_blobs(
    database: Database,
    directory: Path,
    url: str | None,
    cache_bytes: int,
    clock: Callable[[], float],
    disk: Disk,
    *,
    reads_only: bool = False,
) -> Blobs:
    """With `reads_only` nothing is made, and a bucket not tested; what is there can be changed."""
    if url is None or url.startswith("file://"):
        root = Path(url.removeprefix("file://")) if url else directory / BLOBS
        files = DirectoryStore(root, disk, reads_only=reads_only)
        return Blobs(database, files, files.incoming, disk, clock=clock)
    incoming = directory / "incoming"
    cache = HostCache(directory / "cache", incoming, cache_bytes, clock)
    objects = UrlStore(url, disk, reads_only=reads_only)
    return Blobs(database, objects, incoming, disk, cache, clock)
