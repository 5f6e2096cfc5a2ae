"""The one database of a server, or of several: transactions over SQLite or PostgreSQL. Every row of
registry, jobs, files and keys goes through it. Knows no table.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from adapters_registry.errors import StorageError
from adapters_registry.storage import private, schema
from adapters_registry.storage.database_engines import is_sqlite, make_engine
from adapters_registry.storage.database_faults import translate_errors
from adapters_registry.storage.disk import storing

_log = logging.getLogger(__name__)
#: after a commit: a channel on which other servers wait for news
Channel = str
#: what is done at the end of a transaction
Finish = TypeVar("Finish", bound=Callable[[sa.Connection], None])


class _Open(threading.local):
    """The transaction that this thread writes in, and what follows its commit."""

    connection: sa.Connection | None = None
    before_commit: dict[str, Callable[[sa.Connection], None]]
    at_last: dict[str, Callable[[sa.Connection], None]]
    after_commit: dict[str, Callable[[], None]]


class Database:
    """Safe to use from several threads and processes. A thread has one writing transaction at a
    time: what it reads and writes meanwhile happens in that one.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._writes = engine.execution_options(writes=True)
        self._reads = engine
        if not is_sqlite(engine):
            # several statements of one look see the same moment, as they do in SQLite
            self._reads = engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        self._open = _Open()

    @classmethod
    def open(cls, url: str | sa.URL, *, migrate: bool | None = None) -> Database:
        """Brings the schema up to date first: by default of SQLite alone, where nobody else can be
        using an older one. Raises StorageError, or WrongSchema.
        """
        engine = make_engine(url)
        if is_sqlite(engine) and engine.url.database:
            with storing("open the database"):
                private.make_file(Path(engine.url.database))
        try:
            with translate_errors("open the database"):
                if is_sqlite(engine) if migrate is None else migrate:
                    schema.upgrade(engine)
                schema.check(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    @property
    def engine(self) -> sa.Engine:
        return self._engine

    @property
    def is_sqlite(self) -> bool:
        return is_sqlite(self._engine)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One snapshot; inside `write`, the writer's own connection and what it wrote. Raises
        StorageError.
        """
        if self._open.connection is not None:
            yield self._open.connection
            return
        with translate_errors("read the database"), self._reads.begin() as connection:
            yield connection

    @contextmanager
    def write(self, *locks: str) -> Iterator[sa.Connection]:
        """All of it or nothing. Whoever names the same lock waits, also in other processes; SQLite
        has one writer at a time anyway. Inside another `write`, a part of that one. Raises
        StorageError, and nothing is written then.
        """
        if self._open.connection is not None:
            for lock in locks:
                self.lock(self._open.connection, lock)
            yield self._open.connection
            return
        after: dict[str, Callable[[], None]] = {}
        with translate_errors("write to the database"), self._writes.begin() as connection:
            for lock in sorted(locks):  # in one order: no two writers wait for each other
                self.lock(connection, lock)
            state = self._open
            state.connection, state.after_commit = connection, after
            state.before_commit, state.at_last = {}, {}
            try:
                yield connection
                while finishes := state.before_commit or state.at_last:
                    # what finishes may itself add something to finish
                    finishes.pop(next(iter(finishes)))(connection)
            finally:
                state.connection, state.after_commit = None, {}
                state.before_commit, state.at_last = {}, {}
        for follow in after.values():
            follow()

    def lock(self, connection: sa.Connection, name: str) -> None:
        """Hold the lock until the transaction ends; waits for whoever holds it."""
        if not self.is_sqlite:
            connection.execute(
                sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name}
            )

    def before_commit(self, key: str, finish: Finish, *, is_last: bool = False) -> Finish:
        """Do this at the end of the open transaction, once for each key, and still within it; with
        `is_last` after all that is not. Returns what is done: that which the key had already.
        """
        finishes = self._open.at_last if is_last else self._open.before_commit
        return finishes.setdefault(key, finish)  # type: ignore[return-value]

    def after_commit(self, key: str, follow: Callable[[], None]) -> None:
        """Do this once the open transaction was committed, once for each key; never after a
        rollback. Outside of a transaction, at once.
        """
        if self._open.connection is None:
            follow()
        else:
            self._open.after_commit.setdefault(key, follow)

    def announce(self, channel: Channel) -> None:
        """Wake other servers that wait on the channel, once the open transaction was committed."""
        if not self.is_sqlite:
            self.after_commit(f"notify {channel}", lambda: self._notify(channel))

    def close(self) -> None:
        self._engine.dispose()

    def _notify(self, channel: Channel) -> None:
        """In a transaction of its own: PostgreSQL serializes commits that notify. One that is lost
        costs time only, as everybody who waits looks by itself now and then.
        """
        try:
            with translate_errors("notify"), self._writes.begin() as connection:
                connection.execute(sa.text("SELECT pg_notify(:channel, '')"), {"channel": channel})
        except StorageError as error:
            extra = {"action": "database.notify"}
            _log.warning("other servers learn of a change later: %s", error, extra=extra)
