"""Where the rows and bytes of one test are: in a directory, or in a database and a bucket that
several servers share.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters_registry.registry import Registry
from adapters_registry.storage.shared_state import SharedState


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Opened as often as a test has servers. Each is on a machine of its own where the storage is
    shared; of a directory, all are on the same one.
    """

    directory: Path
    database_url: str | None = None
    blobs_url: str | None = None

    @property
    def is_shared(self) -> bool:
        return self.database_url is not None

    def open(self, machine: str = "one", **options: Any) -> SharedState:
        folder = self.directory / machine if self.is_shared else self.directory
        return SharedState.open(
            folder, database_url=self.database_url, blobs_url=self.blobs_url, **options
        )

    def open_registry(
        self, machine: str = "one", clock: Callable[[], float] = time.time, **options: Any
    ) -> Registry:
        return Registry(self.open(machine, clock=clock), clock=clock, **options)
