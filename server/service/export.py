"""A version's files on their way out."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

from adapters_registry.values import Version


class Export:
    """A version's files in a directory of their own, which goes when the block ends."""

    def __init__(self, version: Version, directory: Path, paths: Sequence[Path]) -> None:
        self.version = version
        self.paths = paths
        self._directory = directory

    def __enter__(self) -> Export:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)


def drop(making: asyncio.Future[Export]) -> None:
    if not making.cancelled() and making.exception() is None:
        making.result().close()
