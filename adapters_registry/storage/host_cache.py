"""Copies of blobs on this machine, by sha256: the least recently used go once the byte budget is
exceeded. Everything in it can be fetched again. Knows no database and no store.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from adapters_registry.errors import BlobCorrupt, StorageError
from adapters_registry.storage import private
from adapters_registry.storage.disk import Disk, read_chunks, storing
from adapters_registry.storage.scratch import Scratch

#: a copy that was handed out this lately stays: its reader may not have opened it yet
_HANDED_OUT_S = 60.0


class HostCache:
    """Safe to use from several threads, and by several processes over one directory."""

    def __init__(
        self,
        directory: Path,
        incoming: Path,
        max_bytes: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Copies are made in scratch directories under `incoming`, on the same file system: whoever
        sweeps those takes away what dead processes left.
        """
        self._directory = directory
        self._incoming = incoming
        self._disk = Disk()
        self._max_bytes = max_bytes
        self._clock = clock
        #: one thread fetches a blob, and others that want it wait
        self._fetching: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def path(self, sha256: str, size: int, fetch: Callable[[Path], None]) -> Path:
        """A copy of this size; its reader checks the hash. `fetch` writes a new file, which is
        verified here. Raises BlobCorrupt where what came is something else.
        """
        target = self._directory / sha256[:2] / sha256
        with self._lock:
            turn = self._fetching.setdefault(sha256, threading.Lock())
        try:
            with turn:
                if not self._touch(target, size):
                    self._fetch(sha256, target, fetch)
                    self._evict(target)
        finally:
            with self._lock:
                self._fetching.pop(sha256, None)
        return target

    def find(self, sha256: str) -> Path | None:
        """A copy whose content is right, if there is one; a wrong one is dropped."""
        path = self._directory / sha256[:2] / sha256
        with storing("read a cached file"), suppress(FileNotFoundError):
            if hash_file(path) == sha256:
                return path
            path.unlink(missing_ok=True)
        return None

    def list(self) -> list[str]:
        """Of what there are copies, right or wrong."""
        with storing("list cached files"):
            return [path.name for path in self._directory.glob("*/*") if path.name[0] != "."]

    def drop(self, sha256: str) -> None:
        with storing("drop a cached file"):
            (self._directory / sha256[:2] / sha256).unlink(missing_ok=True)

    def _touch(self, path: Path, size: int) -> bool:
        with storing("read a cached file"), suppress(FileNotFoundError):
            if path.stat().st_size == size:
                now = self._clock()
                os.utime(path, (now, now))
                return True
        return False

    def _fetch(self, sha256: str, target: Path, fetch: Callable[[Path], None]) -> None:
        with storing("cache a stored file"):
            private.make_directory(target.parent)
        area = Scratch(self._incoming, self._disk)
        part = area.path / sha256
        try:
            fetch(part)
            with storing("cache a stored file"):
                if (actual := hash_file(part)) != sha256:
                    raise BlobCorrupt(
                        f"stored file {sha256} is corrupt: its content has the sha256 {actual}",
                        sha256=sha256,
                    )
                now = self._clock()  # the one that tells what was used lately
                os.utime(part, (now, now))
                part.replace(target)
        finally:
            with suppress(StorageError):  # swept later
                area.remove()

    def _evict(self, newest: Path) -> None:
        """Down to the budget, without what was handed out lately; what an earlier release left
        unfinished goes too.
        """
        copies = []
        for path in self._directory.glob("*/*"):
            with suppress(OSError):
                status = path.stat()
                copies.append((status.st_mtime, status.st_size, path))
        num_bytes = sum(size for _, size, _ in copies)
        oldest_kept = self._clock() - _HANDED_OUT_S
        for used_at, size, path in sorted(copies):
            if num_bytes <= self._max_bytes or used_at > oldest_kept:
                return
            if path != newest:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
                num_bytes -= size


def hash_file(path: Path) -> str:
    """Raises OSError."""
    running = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in read_chunks(file):
            running.update(chunk)
    return running.hexdigest()
