"""Where a process changes something outside of itself, found without a change to the product: calls
of the operating system, statements and commits of SQLAlchemy, calls of obstore. Knows no action.

What SQLite writes inside a statement is not seen: to survive a kill there is SQLite's promise. No
point comes after a change, as nothing differs until the next one; none at a sync or a lock, which
leave nothing that a kill of the process could take away; and none before a statement that follows
another at once in what the driver says is one open transaction, or before a commit of nothing.
"""

from __future__ import annotations

import builtins
import io
import os
import sqlite3
import stat
import sys
import threading
from collections.abc import Callable
from typing import Any

import obstore
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.default import DefaultDialect

#: what Python itself announces before it does it
_AUDITED = {
    "os.link",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
    "os.truncate",
}
#: what it does not announce
_UNANNOUNCED = ("copy_file_range", "pwrite", "sendfile", "writev")
_OF_STORES = ("copy", "delete", "put", "rename")
_READS = ("SELECT", "PRAGMA", "EXPLAIN", "SHOW")
_CHANGES_FILES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class WritePoints:
    """Once armed, calls `reach` with a line about each point: before every change and in the middle
    of every write to a file. A process arms it once.
    """

    def __init__(self, reach: Callable[[str], None], *, every_statement: bool = False) -> None:
        """With `every_statement`, those count too that follow another in one transaction."""
        self._reach = reach
        self._counts_every_statement = every_statement
        self._armed = False
        self._lock = threading.Lock()
        #: whether the last point was a statement
        self._is_in_statements = False
        #: connections that have written since their last commit
        self._written: set[int] = set()

    def install(self) -> None:
        """Before the action opens anything; nothing counts before `arm`."""
        sys.addaudithook(self._audit)
        for name in _UNANNOUNCED:
            if hasattr(os, name):
                setattr(os, name, self._before(f"os.{name}", getattr(os, name)))
        os.write = self._write_in_halves(os.write)
        io.open = self._open_counted(io.open)
        builtins.open = io.open
        event.listen(Engine, "before_cursor_execute", self._before_statement)
        DefaultDialect.do_commit = self._commit_counted(DefaultDialect.do_commit)  # type: ignore[method-assign]
        for name in _OF_STORES:
            setattr(obstore, name, self._before(f"obstore.{name}", getattr(obstore, name)))
            late = f"{name}_async"
            setattr(obstore, late, self._before(f"obstore.{late}", getattr(obstore, late)))
        obstore.open_writer = self._refuse_writer

    def arm(self) -> None:
        self._armed = True

    def step(self, what: str) -> None:
        """One thread at a time, so that points are counted one by one."""
        if self._armed:
            with self._lock:
                self._is_in_statements = False
                self._reach(what)

    def _audit(self, name: str, arguments: tuple[Any, ...]) -> None:
        if not self._armed:
            return
        if name == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _CHANGES_FILES and path != os.devnull:
                self.step(f"open {path} to write")
        elif name in _AUDITED:
            self.step(f"{name} {arguments}")

    def _before(self, what: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def step_and_call(*arguments: Any, **options: Any) -> Any:
            self.step(f"before {what} {_describe(arguments)}")
            return call(*arguments, **options)

        return step_and_call

    def _write_in_halves(self, write: Callable[..., int]) -> Callable[..., int]:
        def write_half(descriptor: int, content: Any) -> int:
            content = memoryview(content).cast("B")
            if not self._armed or not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return write(descriptor, content)
            self.step(f"os.write of {len(content)} bytes")
            # the caller writes the rest, as after any short write
            return write(descriptor, content[: (len(content) + 1) // 2])

        return write_half

    def _open_counted(self, original: Callable[..., Any]) -> Callable[..., Any]:
        points = self

        class CountedFile(io.FileIO):
            def write(self, content: Any, /) -> int:
                content = memoryview(content).cast("B")
                points.step(f"write {len(content)} bytes to {self.name}")
                if not points._armed or len(content) < 2:
                    return super().write(content)
                half = len(content) // 2
                num_bytes = super().write(content[:half])
                points.step(f"write the second half of {len(content)} bytes to {self.name}")
                return num_bytes + super().write(content[half:])

            def truncate(self, size: int | None = None, /) -> int:
                points.step(f"truncate {self.name}")
                return super().truncate(size)

        def open_counted(
            file: Any,
            mode: str = "r",
            buffering: int = -1,
            encoding: str | None = None,
            errors: str | None = None,
            newline: str | None = None,
            **options: Any,
        ) -> Any:
            if not set(mode) & set("wax+"):
                return original(file, mode, buffering, encoding, errors, newline, **options)
            raw = CountedFile(file, mode.replace("b", "").replace("t", ""), **options)
            if buffering == 0:
                return raw
            size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
            buffered = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw, size)
            if "b" in mode:
                return buffered
            return io.TextIOWrapper(
                buffered, encoding, errors, newline, line_buffering=buffering == 1
            )

        return open_counted

    def _before_statement(
        self, connection: Connection, cursor: Any, statement: str, *rest: object
    ) -> None:
        is_kept = connection.engine.url.database not in (None, "", ":memory:")
        if not is_kept or statement.lstrip().upper().startswith(_READS):
            return
        self._written.add(id(cursor.connection))
        follows = self._is_in_statements and _is_in_transaction(cursor.connection)
        if self._counts_every_statement or not follows:
            self.step(f"before {_shorten(statement)}")
            self._is_in_statements = True

    def _commit_counted(self, commit: Callable[..., None]) -> Callable[..., None]:
        def commit_counted(dialect: DefaultDialect, connection: Any) -> None:
            driver = id(connection.driver_connection)
            if driver in self._written:
                self._written.remove(driver)
                self.step("before COMMIT")
            commit(dialect, connection)

        return commit_counted

    @staticmethod
    def _refuse_writer(*_: object, **__: object) -> Any:
        raise NotImplementedError("the sweep does not see the writes of obstore.open_writer")


def _is_in_transaction(driver: Any) -> bool:
    """By SQLite's module, or by psycopg."""
    if isinstance(driver, sqlite3.Connection):
        return driver.in_transaction
    return bool(driver.info.transaction_status)


def _describe(arguments: tuple[Any, ...]) -> str:
    """What is text or a number: neither a store nor content."""
    return _shorten(" ".join(str(word) for word in arguments if isinstance(word, (str, int))))


def _shorten(text: str) -> str:
    return " ".join(text.split())[:120]
