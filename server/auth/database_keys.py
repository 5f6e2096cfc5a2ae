"""The keys of the database in memory, as of a moment ago: a call never waits for the database.

Somebody calls `refresh` again and again, in a thread; its interval is how long a revoked key may go
on working. While the database cannot be read, the keys that were read last are valid for STALE_S
more, and then none is.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from adapters_registry.storage.database import Database
from adapters_registry.storage.news import News
from server.auth.key import Key, is_valid, match_key
from server.auth.key_table import KeyTable, Stamp
from server.errors import KeysStale

#: no revocation can be missed for longer
STALE_S = 300.0
#: on which nobody announces: keys are looked at in every interval
_CHANNEL = "adapterd_keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snapshot:
    keys: Mapping[str, Key]
    stamp: Stamp
    read_at: float


class DatabaseKeyRing:
    """Nobody gets in before the first `follow`."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        on_gone: Callable[[str], object] = lambda _: None,
    ) -> None:
        """`on_gone` is called with each tenant whose last key was revoked, by whoever checks."""
        self._clock, self._now, self._on_gone = clock, now, on_gone
        self._table: KeyTable | None = None
        self._snapshot: _Snapshot | None = None
        self._gone: deque[str] = deque()

    def follow(self, database: Database, news: News) -> None:
        """Read the keys now, and whenever the news look. Raises StorageError."""
        self._table = KeyTable(database)
        self.refresh()
        news.follow(_CHANNEL, self.refresh)

    def refresh(self) -> None:
        """In one thread at a time. Raises StorageError."""
        assert self._table is not None
        before, read_at = self._snapshot, self._clock()
        # the stamp first: what is written between the two is read again the next time
        stamp = self._table.stamp()
        if before is not None and stamp == before.stamp:
            self._snapshot = replace(before, read_at=read_at)
            return
        keys = {key.id: key for key in self._table.list()}
        self._snapshot = _Snapshot(keys=keys, stamp=stamp, read_at=read_at)
        if before is not None:
            now_here = {key.tenant for key in keys.values()}
            self._gone.extend({key.tenant for key in before.keys.values()} - now_here)

    def check(self, token: str) -> Key:
        """The key of a token. Raises Unauthenticated and KeysStale."""
        return match_key(self._fresh(), token, self._now())

    def find(self, key_id: str) -> Key | None:
        """None once the key was revoked or has expired. Raises KeysStale."""
        key = self._fresh().get(key_id)
        return key if key is not None and is_valid(key, self._now()) else None

    def _fresh(self) -> Mapping[str, Key]:
        while self._gone:
            self._on_gone(self._gone.popleft())
        snapshot = self._snapshot
        if snapshot is None or self._clock() - snapshot.read_at > STALE_S:
            raise KeysStale
        return snapshot.keys
