"""Where the state of a test's trainers is: SQLite and a folder, or a real PostgreSQL and a real S3
over HTTP. A module that sets `STORAGES = BOTH` runs on each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BOTH: Sequence[str] = ("sqlite", "postgres")


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """What `SharedState.open` takes beside a directory; nothing: all is in that."""

    database_url: str | None = None
    blobs_url: str | None = None

    @property
    def is_shared(self) -> bool:
        return self.database_url is not None
