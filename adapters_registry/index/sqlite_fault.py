"""What an error of SQLite means to whoever waits: busy, full, not writable, or broken. Knows no
statement and no table.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from enum import Enum, auto

from sqlalchemy import exc

#: what a connection raises, through SQLAlchemy and, while it is being opened, without it
SQLITE_ERRORS = (exc.SQLAlchemyError, sqlite3.Error)


class SqliteFault(Enum):
    """The kinds that callers tell apart."""

    BUSY = auto()
    FULL = auto()
    READ_ONLY = auto()
    OUT_OF_FILES = auto()
    OTHER = auto()


#: by the beginning of SQLite's own name for the error
_KINDS = (
    ("SQLITE_BUSY", SqliteFault.BUSY),
    ("SQLITE_LOCKED", SqliteFault.BUSY),
    ("SQLITE_FULL", SqliteFault.FULL),
    # the index of the write-ahead log is a file of its own, and could not grow
    ("SQLITE_IOERR_SHMSIZE", SqliteFault.FULL),
    ("SQLITE_READONLY", SqliteFault.READ_ONLY),
    ("SQLITE_CANTOPEN", SqliteFault.READ_ONLY),
)


def sqlite_fault(error: Exception) -> SqliteFault:
    if isinstance(error, exc.TimeoutError):  # every connection is in use
        return SqliteFault.BUSY
    name = getattr(_cause(error), "sqlite_errorname", None) or ""
    fault = next((kind for mark, kind in _KINDS if name.startswith(mark)), SqliteFault.OTHER)
    # SQLite says no more than that a file could not be opened
    if name.startswith("SQLITE_CANTOPEN") and _out_of_files():
        return SqliteFault.OUT_OF_FILES
    return fault


def sqlite_words(error: Exception) -> str:
    """The driver's own sentence, without statement and parameters."""
    cause = _cause(error)
    return str(cause) if isinstance(cause, sqlite3.Error) else type(error).__name__


def _cause(error: Exception) -> BaseException:
    return getattr(error, "orig", None) or error


def _out_of_files() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False
