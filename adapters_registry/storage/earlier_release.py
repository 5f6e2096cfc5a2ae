"""Takes over the data directory of a release that kept two databases, `registry/registry.db` and
`jobs.db`, and files by id. Knows their tables by name alone; no version and no job.

The new database is made beside them and renamed when it is complete; bytes are linked, not copied.
It says of itself that it was filled from them until they are out of the way, so that they are never
moved away for the sake of another. One process does all this while others wait.
"""

from __future__ import annotations

import logging
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from adapters_registry.errors import StorageError
from adapters_registry.storage import private, schema
from adapters_registry.storage.blob_table import BlobState
from adapters_registry.storage.database_engines import make_engine
from adapters_registry.storage.database_faults import translate_errors
from adapters_registry.storage.directory_store import DirectoryStore
from adapters_registry.storage.disk import Disk, storing
from adapters_registry.storage.host_cache import hash_file

_log = logging.getLogger(__name__)
#: the revision with the tables of that release, and that of blobs
_REVISION = "0002"
_DATABASES = ("registry/registry.db", "jobs.db")
_TABLES = (
    "task", "version", "version_file", "alias", "alias_event", "task_change", "publication",
    "files", "file_names", "jobs", "job_files", "job_events",
)  # fmt: skip
#: columns that came later than the first release, with what they were before
_DEFAULTS: Mapping[str, Mapping[str, object]] = {"jobs": {"pause_requested": False}}
#: where what was taken over goes; nothing reads it again
KEPT = "earlier-release"
_LOCK = ".earlier-release.lock"
#: SQLite's `user_version` of a database that was filled, while what it was filled from is there
_FILLED = 1


def take_over(directory: Path, database: Path, blobs: Path, disk: Disk) -> None:
    """Where there is something of an earlier release, and no other database. Raises
    StorageError.
    """
    if not find_databases(directory):
        return
    with _holding(directory, disk):
        databases = find_databases(directory)  # another process may have been first
        if not databases:
            return
        if not database.exists():
            _make(database, databases, directory, DirectoryStore(blobs, disk), disk)
        elif _read_mark(database) != _FILLED:
            raise StorageError(
                f"{databases[0]} holds data of an earlier release, and {database} was not made "
                f"from it; to take it over, move {database.name} out of {directory} with the files "
                f"that begin with its name; to go on with {database.name}, move "
                f"{', '.join(_DATABASES)} out of it"
            )
        _move_away(directory, disk)
        _write_mark(database, 0)
        with storing("remove a lock"):
            disk.remove(directory / _LOCK)


@contextmanager
def _holding(directory: Path, disk: Disk) -> Iterator[None]:
    with storing("lock the data directory"):
        lock = disk.lock(directory / _LOCK, wait=True)
    assert lock is not None
    try:
        yield
    finally:
        disk.unlock(lock)


def _make(
    database: Path, databases: list[Path], directory: Path, store: DirectoryStore, disk: Disk
) -> None:
    part = database.with_name(f"{database.name}.part")
    _remove_database(part)
    _fill(part, databases, directory, store, disk)
    with storing("name the new database"):
        disk.rename(part, database)
        disk.sync_directory(directory)
    extra = {"action": "data.taken_over"}
    _log.info("took over the data of an earlier release in %s", directory, extra=extra)


def _read_mark(database: Path) -> int:
    with _opening(database) as db:
        return int(db.exec_driver_sql("PRAGMA user_version").scalar_one())


def _write_mark(database: Path, mark: int) -> None:
    with _opening(database) as db:
        db.exec_driver_sql(f"PRAGMA user_version = {mark}")


@contextmanager
def _opening(database: Path) -> Iterator[sa.Connection]:
    engine = make_engine(sa.URL.create("sqlite", database=str(database)))
    try:
        writing = engine.execution_options(writes=True)
        with translate_errors("open the new database"), writing.begin() as db:
            yield db
    finally:
        engine.dispose()


def find_databases(directory: Path) -> list[Path]:
    """Of an earlier release."""
    return [directory / name for name in _DATABASES if (directory / name).is_file()]


def _fill(
    part: Path, databases: Iterable[Path], directory: Path, store: DirectoryStore, disk: Disk
) -> None:
    with storing("make the new database"):
        private.make_file(part)
    engine = make_engine(sa.URL.create("sqlite", database=str(part)))
    try:
        with translate_errors("take over the data of an earlier release"):
            schema.upgrade(engine, _REVISION)
            with engine.execution_options(writes=True).begin() as db:
                for path in databases:
                    _copy_tables(db, path)
                _add_blobs(db, directory, store)
                db.exec_driver_sql(f"PRAGMA user_version = {_FILLED}")
            with engine.connect() as db:  # so that the one file holds everything
                db.execution_options(isolation_level="AUTOCOMMIT")
                db.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        engine.dispose()
    with storing("sync the new database"), part.open("ab") as file:
        disk.sync(file)


def _copy_tables(db: sa.Connection, path: Path) -> None:
    earlier = sa.create_engine(sa.URL.create("sqlite", database=str(path)))
    try:
        with earlier.connect() as source:
            names = set(sa.inspect(source).get_table_names())
            for name in _TABLES:
                if name in names:
                    _copy_table(source, db, name)
            if "alias_reason" in names:
                _copy_reasons(source, db)
    finally:
        earlier.dispose()


def _copy_table(source: sa.Connection, db: sa.Connection, name: str) -> None:
    before = sa.Table(name, sa.MetaData(), autoload_with=source)
    after = sa.Table(name, sa.MetaData(), autoload_with=db)
    shared = [column for column in before.c if column.name in after.c]
    rows = [
        {**_DEFAULTS.get(name, {}), **row._mapping} for row in source.execute(sa.select(*shared))
    ]
    if rows:
        db.execute(after.insert(), rows)


def _copy_reasons(source: sa.Connection, db: sa.Connection) -> None:
    reasons = sa.Table("alias_reason", sa.MetaData(), autoload_with=source)
    events = sa.Table("alias_event", sa.MetaData(), autoload_with=db)
    key = ("tenant", "task", "alias", "sequence")
    for row in source.execute(sa.select(reasons)):
        same = sa.and_(*(events.c[column] == row._mapping[column] for column in key))
        db.execute(events.update().where(same).values(reason=row.reason))


def _add_blobs(db: sa.Connection, directory: Path, store: DirectoryStore) -> None:
    """One for each content, whichever file of that release holds it."""
    table = sa.Table("blob", sa.MetaData(), autoload_with=db)
    known: dict[str, dict[str, Any]] = {}
    for sha256, path in _contents(db, directory):
        if sha256 in known:
            continue
        with storing("read a file of an earlier release"):
            status = path.stat()
        name = f"sha256/{sha256[:2]}/{sha256}.{uuid.uuid4().hex[:8]}"
        store.put(name, path)
        known[sha256] = {
            "sha256": sha256,
            "object": name,
            "size": status.st_size,
            "state": BlobState.READY,
            "stored_at": status.st_mtime,
            "marked_at": None,
            "epoch": 1,
        }
    if known:
        db.execute(table.insert(), list(known.values()))


def _contents(db: sa.Connection, directory: Path) -> Iterator[tuple[str, Path]]:
    """A file whose bytes are not what its record says is left behind: whoever asks for it is told
    that it is missing.
    """
    for path in sorted((directory / "registry/blobs/sha256").glob("??/*")):
        if hash_file(path) == path.name:
            yield path.name, path
    files = sa.Table("files", sa.MetaData(), autoload_with=db)
    for row in db.execute(sa.select(files.c.id, files.c.sha256)):
        path = directory / "files" / row.id
        if path.is_file() and hash_file(path) == row.sha256:
            yield row.sha256, path


def _move_away(directory: Path, disk: Disk) -> None:
    """The databases last: while they are there, this is tried again."""
    kept = directory / KEPT
    with storing("move the data of an earlier release away"):
        private.make_directory(kept)
        for name in ("files", "registry/blobs", "jobs.db", "registry/registry.db"):
            source, target = directory / name, kept / name
            private.make_directory(target.parent)
            if source.is_dir() and target.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
                disk.remove_tree(source)
            elif source.exists():
                disk.rename(source, target)
            for suffix in ("-wal", "-shm"):
                with suppress(FileNotFoundError):
                    disk.rename(directory / f"{name}{suffix}", kept / f"{name}{suffix}")
        disk.sync_directory(directory)


def _remove_database(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
