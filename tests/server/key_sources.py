"""Where keys can be kept, behind one face: a file, SQLite, PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from adapters_registry.storage.database import Database
from adapters_registry.storage.news import News
from server.auth.authenticator import Keys
from server.auth.database_keys import DatabaseKeyRing
from server.auth.key import Key
from server.auth.key_file import KeyRing, create_key, list_keys, revoke_key
from server.auth.key_table import KeyTable

KINDS = ("file", "sqlite", "postgresql")


class Clock:
    """Tells the time that a test sets, for both kinds of clock."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class KeySource(Protocol):
    """What `adapterd keys` does, and the ring of a server beside it."""

    def create(
        self, tenant: str, role: str, expires_at: float | None = None
    ) -> tuple[Key, str]: ...

    def list(self) -> Sequence[Key]: ...

    def revoke(self, key_id: str) -> Key: ...

    def open_ring(self, clock: Clock, on_gone: Callable[[str], object]) -> Keys: ...

    def look(self, clock: Clock) -> None:
        """What happened is seen by the ring after this."""
        ...

    def close(self) -> None: ...


class FileSource:
    """A key file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self, tenant: str, role: str, expires_at: float | None = None) -> tuple[Key, str]:
        return create_key(self.path, tenant, role, expires_at)

    def list(self) -> Sequence[Key]:
        return list_keys(self.path)

    def revoke(self, key_id: str) -> Key:
        return revoke_key(self.path, key_id)

    def open_ring(self, clock: Clock, on_gone: Callable[[str], object]) -> Keys:
        return KeyRing(self.path, clock=clock, on_gone=on_gone, now=clock)

    def look(self, clock: Clock) -> None:
        clock.now += 2.0

    def close(self) -> None:
        pass


class DatabaseSource:
    """The table of a database."""

    def __init__(self, url: str) -> None:
        self.database = Database.open(url, migrate=True)
        self.table = KeyTable(self.database)
        self.ring: DatabaseKeyRing | None = None

    def create(self, tenant: str, role: str, expires_at: float | None = None) -> tuple[Key, str]:
        return self.table.create(tenant, role, expires_at)

    def list(self) -> Sequence[Key]:
        return self.table.list()

    def revoke(self, key_id: str) -> Key:
        return self.table.revoke(key_id)

    def open_ring(self, clock: Clock, on_gone: Callable[[str], object]) -> Keys:
        self.ring = DatabaseKeyRing(clock=clock, now=clock, on_gone=on_gone)
        self.ring.follow(self.database, News(self.database, poll_s=1.0))
        return self.ring

    def look(self, clock: Clock) -> None:
        assert self.ring is not None
        self.ring.refresh()

    def close(self) -> None:
        self.database.close()
