"""What a database's error means to whoever waits: busy, full, not writable, unreachable, or broken.
Knows no statement and no table.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import exc

from adapters_registry.errors import (
    OutOfFiles,
    StorageBusy,
    StorageError,
    StorageFull,
    StorageReadOnly,
    StorageUnavailable,
)

#: what a connection raises, through SQLAlchemy and, while it is being opened, without it
DATABASE_ERRORS = (exc.SQLAlchemyError, sqlite3.Error, psycopg.Error)

#: by the beginning of SQLite's own name for the error
_SQLITE: tuple[tuple[str, type[StorageError]], ...] = (
    ("SQLITE_BUSY", StorageBusy),
    ("SQLITE_LOCKED", StorageBusy),
    ("SQLITE_FULL", StorageFull),
    # the index of the write-ahead log is a file of its own, and could not grow
    ("SQLITE_IOERR_SHMSIZE", StorageFull),
    ("SQLITE_READONLY", StorageReadOnly),
    ("SQLITE_CANTOPEN", StorageReadOnly),
)
#: by the beginning of the SQLSTATE (PostgreSQL's documentation, appendix A)
_POSTGRES: tuple[tuple[str, type[StorageError]], ...] = (
    ("08", StorageUnavailable),  # connection exception
    ("57P", StorageUnavailable),  # shutting down, starting up
    ("53300", StorageBusy),  # too many connections
    ("53100", StorageFull),
    ("25006", StorageReadOnly),  # the server is a replica
    ("40", StorageBusy),  # deadlock, serialization failure
    ("55P03", StorageBusy),  # a lock was not to be had in time
    ("57014", StorageBusy),  # a statement took too long
)
#: by what libpq and the server say, in English or by their codes, while a connection is made
_REFUSALS = (
    ("password authentication failed", "the database refuses the user or the password"),
    ("no password supplied", "the database asks for a password"),
    ("no pg_hba.conf entry", "the database lets nobody in from here"),
    ("does not exist", "there is no such database, or no such user"),
    ("certificate verify failed", "the certificate of the database cannot be verified"),
)


@contextmanager
def translate_errors(action: str) -> Iterator[None]:
    """Turn the driver's errors into ours; statements and parameters stay out of the message.
    `action` is what was done, such as "read the database".
    """
    try:
        yield
    except DATABASE_ERRORS as error:
        raise _storage_error(action, error) from error


def _storage_error(action: str, error: Exception) -> StorageError:
    cause = getattr(error, "orig", None) or error
    if isinstance(error, exc.TimeoutError):
        return StorageBusy(f"cannot {action}: every connection to the database is in use")
    if isinstance(cause, psycopg.Error):
        return _postgres_error(action, cause)
    name = getattr(cause, "sqlite_errorname", None) or ""
    kind = next((kind for mark, kind in _SQLITE if name.startswith(mark)), StorageError)
    # SQLite says no more than that a file could not be opened
    if name.startswith("SQLITE_CANTOPEN") and _out_of_files():
        kind = OutOfFiles
    words = str(cause) if isinstance(cause, sqlite3.Error) else type(error).__name__
    return kind(f"cannot {action}: {words}")


def _postgres_error(action: str, cause: psycopg.Error) -> StorageError:
    state = cause.sqlstate or ""
    # a connection that could not be made, or broke, has no SQLSTATE
    is_lost = not state and isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError)
    if is_lost:
        return _lost_connection(action, str(cause))
    kind = next((kind for mark, kind in _POSTGRES if state.startswith(mark)), StorageError)
    words = cause.diag.message_primary or type(cause).__name__
    return kind(f"cannot {action}: {words}")


def _lost_connection(action: str, words: str) -> StorageError:
    """A server that answers but refuses gives its reason as text alone, and gives it again."""
    for mark, reason in _REFUSALS:
        if mark in words:
            return StorageError(f"cannot {action}: {reason}; check database_url")
    return StorageUnavailable(f"cannot {action}: the database cannot be reached")


def _out_of_files() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False
