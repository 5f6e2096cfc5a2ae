"""A directory for unfinished files that lives as long as its owner.

The owner holds a kernel lock on a file beside it, which dies with the owner: what `sweep` can lock,
nobody is writing to. No ages, no clocks, no guess.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from pathlib import Path

from adapters_registry.errors import StorageError
from adapters_registry.storage import private
from adapters_registry.storage.disk import Disk, storing

_ATTEMPTS = 5
_LOCK = ".lock"


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
                self._disk.remove(_lock_file(self.path))
        finally:
            self._disk.unlock(self._lock)


def sweep(root: Path, disk: Disk) -> list[str]:
    """Remove the scratch directories under `root` whose owners are gone; their names."""
    if not root.is_dir():
        return []
    with storing("sweep staging directories"):
        # its lock may be all that is left of a directory, or missing yet
        names = {path.name.removesuffix(_LOCK) for path in root.iterdir()}
        return [name for name in sorted(names) if _sweep_one(root / name, disk)]


def _sweep_one(path: Path, disk: Disk) -> bool:
    """Whether there was a directory without an owner."""
    if path.is_file():
        return False  # not one of ours
    lock = disk.lock(_lock_file(path))
    if lock is None:
        return False
    try:
        was_there = path.is_dir()
        with suppress(FileNotFoundError):  # another sweep came first
            disk.remove_tree(path)
        disk.remove(_lock_file(path))
    finally:
        disk.unlock(lock)
    return was_there


def _lock_file(path: Path) -> Path:
    return path.with_name(path.name + _LOCK)


def _claim(root: Path, disk: Disk) -> tuple[Path, int]:
    """Make and lock.

    A sweep may come between the two: then the directory is gone, or soon will be, and we try
    another.
    """
    for _ in range(_ATTEMPTS):
        path = root / uuid.uuid4().hex
        disk.make_directory(path)
        lock = disk.lock(_lock_file(path))
        if lock is not None and path.exists():
            return path, lock
        if lock is not None:
            disk.remove(_lock_file(path))
            disk.unlock(lock)
    raise StorageError("cannot make a staging directory: each one was swept at once")
