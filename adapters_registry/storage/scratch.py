"""A directory for unfinished files that lives as long as its owner.

The owner holds a kernel lock on it, which dies with the owner: what `sweep` can lock, nobody is
writing to. No ages, no clocks, no guess.
"""

from __future__ import annotations

import uuid
from pathlib import Path

from adapters_registry.errors import StorageError
from adapters_registry.storage import private
from adapters_registry.storage.disk import Disk, storing

_ATTEMPTS = 5


class Scratch:
    """One private directory under `root`."""

    def __init__(self, root: Path, disk: Disk) -> None:
        self._disk = disk
        with storing("make a staging directory"):
            private.make_directory(root)
            self.path, self._lock = _claim(root, disk)
        self._open = True

    def remove(self) -> None:
        """Remove the directory and everything in it. Twice is once."""
        if not self._open:
            return
        self._open = False
        try:
            with storing("remove a staging directory"):
                self._disk.remove_tree(self.path)
        finally:
            self._disk.unlock(self._lock)


def sweep(root: Path, disk: Disk) -> list[str]:
    """Remove the scratch directories under `root` whose owners are gone; their names."""
    if not root.is_dir():
        return []
    with storing("sweep staging directories"):
        return [
            path.name for path in sorted(root.iterdir()) if path.is_dir() and _sweep_one(path, disk)
        ]


def _sweep_one(path: Path, disk: Disk) -> bool:
    try:
        lock = disk.lock(path)
    except FileNotFoundError:  # its owner removed it meanwhile
        return False
    if lock is None:
        return False
    try:
        disk.remove_tree(path)
    except FileNotFoundError:  # another sweep came first
        return False
    finally:
        disk.unlock(lock)
    return True


def _claim(root: Path, disk: Disk) -> tuple[Path, int]:
    """Make and lock.

    A sweep may take the directory between the two: then its path is gone, and we try another.
    """
    for _ in range(_ATTEMPTS):
        path = root / uuid.uuid4().hex
        disk.make_directory(path)
        try:
            lock = disk.lock(path)
        except FileNotFoundError:
            continue
        if lock is not None and path.exists():
            return path, lock
        if lock is not None:
            disk.unlock(lock)
    raise StorageError("cannot make a staging directory: each one was swept at once")
