"""The shared database as the trainer uses it: transactions whose errors are the trainer's own.
Knows no statement about files or jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from adapters_registry.audit.audit_log import AuditLog
from adapters_registry.storage.database import Channel, Database
from trainer.storage_errors import storing

#: the time that leases are dated with, within a transaction, in seconds since 1970
LeaseClock = Callable[[sa.Connection], float]


class JobDatabase:
    """Safe to use from several threads and processes. Transactions of one thread nest, also with
    those of others that write to the same database.
    """

    def __init__(self, shared: Database) -> None:
        self._shared = shared

    @property
    def is_sqlite(self) -> bool:
        return self._shared.is_sqlite

    @contextmanager
    def write(self, *locks: str) -> Iterator[sa.Connection]:
        """A transaction. Raises StorageFailed, and is rolled back then."""
        with storing("The job database cannot be written"), self._shared.write(*locks) as db:
            yield db

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Raises StorageFailed."""
        with storing("The job database cannot be read"), self._shared.read() as db:
            yield db

    def audit_log(self, clock: Callable[[], float]) -> AuditLog:
        """Of the same transactions."""
        return AuditLog(self._shared, clock)

    def announce(self, channel: Channel) -> None:
        """Wake who waits on other servers, after the commit."""
        self._shared.announce(channel)

    def lease_clock(self, clock: Callable[[], float]) -> LeaseClock:
        """One clock for all workers: the database's own where they are on several machines, else
        that of their one machine.
        """
        return (lambda _: clock()) if self.is_sqlite else _server_time


def _server_time(db: sa.Connection) -> float:
    """Not the time at which the transaction began, which may have waited for a lock since."""
    now = sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()), sa.Double)
    return float(db.execute(sa.select(now)).scalar_one())
