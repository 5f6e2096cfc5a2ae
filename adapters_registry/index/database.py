"""How the index reaches its database: connections, transactions, schema check.

Knows no statement about versions.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

from adapters_registry.errors import (
    OutOfFiles,
    RegistryError,
    StorageBusy,
    StorageError,
    StorageFull,
    StorageReadOnly,
    WrongSchema,
)
from adapters_registry.index.sqlite_fault import (
    SQLITE_ERRORS,
    SqliteFault,
    sqlite_fault,
    sqlite_words,
)
from adapters_registry.index.tables import (
    ALIAS_REASON,
    METADATA,
    SCHEMA_VERSION,
    TASK_CHANGE,
    VERSION_BY_DIGEST,
)
from adapters_registry.storage import private
from adapters_registry.storage.disk import storing

_BUSY_S = 10
_KINDS: dict[SqliteFault, type[StorageError]] = {
    SqliteFault.BUSY: StorageBusy,
    SqliteFault.FULL: StorageFull,
    SqliteFault.READ_ONLY: StorageReadOnly,
    SqliteFault.OUT_OF_FILES: OutOfFiles,
    SqliteFault.OTHER: StorageError,
}


#: what changes the answer to a ref
_CHANGES = (
    ("alias", "INSERT", "NEW"), ("alias", "UPDATE", "NEW"), ("alias", "DELETE", "OLD"),
    ("version", "DELETE", "OLD"),
)  # fmt: skip


class Database:
    """SQLite in WAL mode, every commit synced.

    A thread has one connection while it reads or writes.
    """

    def __init__(self, path: Path) -> None:
        with storing("open the registry's index"):
            private.make_file(path)
        self._engine = create_engine(
            f"sqlite:///{path}", connect_args={"check_same_thread": False, "timeout": _BUSY_S}
        )
        self._immediate = self._engine.execution_options(immediate=True)
        self._local = threading.local()
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)
        with translate_errors():
            with self._immediate.begin() as connection:
                _check_schema(connection)
            # A connection of its own that never writes: `data_version` moves when any *other*
            # connection commits.
            self._watch = self._engine.raw_connection()
            self._watch_lock = threading.Lock()

    @property
    def engine(self) -> Engine:
        return self._engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One snapshot; inside `writing`, the writer's own connection and what it wrote."""
        current: Connection | None = getattr(self._local, "connection", None)
        if current is not None:
            yield current
            return
        with translate_errors(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[None]:
        """The one writer from the start: a deferred transaction could fail at its first write."""
        if getattr(self._local, "connection", None) is not None:
            yield
            return
        with translate_errors(), self._immediate.begin() as connection:
            self._local.connection = connection
            try:
                yield
            finally:
                self._local.connection = None

    def generation(self) -> int:
        with self._watch_lock, translate_errors():
            cursor = self._watch.cursor()
            cursor.execute("PRAGMA data_version")
            [[generation]] = cursor.fetchall()
            cursor.close()
        return int(generation)

    def close(self) -> None:
        with self._watch_lock:
            self._watch.close()
        self._engine.dispose()


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn the driver's errors into ours; statements and parameters stay out of the message."""
    try:
        yield
    except SQLITE_ERRORS as error:
        raise _storage_error(error) from error


def _storage_error(error: Exception) -> RegistryError:
    return _KINDS[sqlite_fault(error)](f"the registry's index failed: {sqlite_words(error)}")


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions of its own
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _check_schema(connection: Connection) -> None:
    """Make the tables in an empty database; refuse one that another release wrote."""
    schema = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    if schema == SCHEMA_VERSION:
        _count_changes(connection)
        return
    num_tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
    if schema or num_tables:
        raise WrongSchema(
            f"the registry's index has schema {schema}, this release reads {SCHEMA_VERSION}",
            found=schema,
        )
    METADATA.create_all(connection)
    _count_changes(connection)
    connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _count_changes(connection: Connection) -> None:
    """By triggers, so that the database of an earlier release counts too, and its writers with it:
    they know nothing of the table, and are none the worse for it. What counted by tenant before
    goes: nothing reads it.

    A deleted task keeps its one row, from which every cache learns of the deletion, however late;
    a task that is made anew under the name takes it over.
    """
    for table, change, _ in _CHANGES:
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {table}_{change.lower()}_counts")
    connection.exec_driver_sql("DROP TABLE IF EXISTS tenant_change")
    TASK_CHANGE.create(connection, checkfirst=True)
    ALIAS_REASON.create(connection, checkfirst=True)
    VERSION_BY_DIGEST.create(connection, checkfirst=True)
    for table, change, row in _CHANGES:
        name = f"{table}_{change.lower()}_numbers"
        connection.exec_driver_sql(
            f"CREATE TRIGGER IF NOT EXISTS {name} AFTER {change} ON {table} "  # noqa: S608 our names
            f"BEGIN INSERT INTO task_change VALUES ({row}.tenant, {row}.task, "
            "(SELECT coalesce(max(sequence), 0) + 1 FROM task_change)) "
            "ON CONFLICT (tenant, task) DO UPDATE SET sequence = excluded.sequence; END"
        )
