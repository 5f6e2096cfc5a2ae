"""SQLAlchemy engines for the two databases, with what each needs to be durable and to wait for
other writers. Knows no table.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from adapters_registry.errors import StorageError

#: how long a writer waits for others
_BUSY_S = 10
_CONNECT_S = 5
_STATEMENT_S = 60
_POOL_SIZE = 8
#: a server whose machine is gone is given up after about half a minute
_KEEPALIVES = {
    "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}  # fmt: skip
_SQLITE, _POSTGRES = "sqlite", "postgresql"


def make_engine(url: str | sa.URL) -> sa.Engine:
    """For `sqlite:///PATH` or `postgresql://…`. Connects to nothing yet. Raises StorageError."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise StorageError("database_url is not the URL of a database") from error
    backend = parsed.get_backend_name()
    if backend == _SQLITE:
        return _sqlite_engine(parsed)
    if backend == _POSTGRES:
        return _postgres_engine(parsed.set(drivername="postgresql+psycopg"))
    raise StorageError(
        f"database_url names a database of {backend}; it must begin with sqlite:/// or postgresql://"
    )


def is_sqlite(engine: sa.Engine | sa.Connection) -> bool:
    return engine.dialect.name == _SQLITE


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(
        url,
        connect_args={"check_same_thread": False, "timeout": _BUSY_S},
        pool_size=_POOL_SIZE,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions of its own
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    """A deferred writer can fail in the middle of its transaction; an immediate one waits at its
    start.
    """
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _postgres_engine(url: sa.URL) -> sa.Engine:
    waits = {"lock_timeout": _BUSY_S, "statement_timeout": _STATEMENT_S}
    options = " ".join(f"-c {name}={seconds}s" for name, seconds in waits.items())
    return sa.create_engine(
        url,
        connect_args={"connect_timeout": _CONNECT_S, "options": options, **_KEEPALIVES},
        pool_size=_POOL_SIZE,
        max_overflow=_POOL_SIZE,
        pool_timeout=_BUSY_S,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED",  # whatever the server's default is: writers rely on it
        hide_parameters=True,  # an error's traceback is logged, and rows are nobody's business
    )
