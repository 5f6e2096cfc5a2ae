"""The files of an exported version. Knows no transport."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from adapters_registry.adapter_files.staging import Staging
from adapters_registry.values import Version


class Export:
    """A version's files in a temporary directory, which is removed when the block ends."""

    def __init__(self, version: Version, area: Staging, paths: Sequence[Path]) -> None:
        self.version = version
        self.paths = paths
        self._area = area

    def __enter__(self) -> Export:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        self._area.remove()


def drop(making: asyncio.Future[Export]) -> None:
    if not making.cancelled() and making.exception() is None:
        making.result().close()
