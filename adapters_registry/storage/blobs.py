"""The store of bytes as a directory: `sha256/ab/cd…`, put once, verified when read.

Knows nothing of versions.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from adapters_registry.errors import BlobCorrupt, BlobMissing
from adapters_registry.port import Blob
from adapters_registry.storage import scratch
from adapters_registry.storage.disk import Disk, open_regular, read_chunks, storing
from adapters_registry.storage.scratch import Scratch

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class DirectoryBlobs:
    """Paths come from digests only, so no name a caller chose ever reaches the file system."""

    def __init__(self, root: Path, disk: Disk) -> None:
        self._disk = disk
        self._content = root / "sha256"
        self._incoming = root / "incoming"

    def put(self, source: Path) -> Blob:
        """Copy, fsync, rename, fsync the directory: a power cut leaves all of it or nothing.

        A copy, not a move: the hash is of the very bytes that were stored, whoever still writes to
        the source.
        """
        area = Scratch(self._incoming, self._disk)
        try:
            with storing("store a file of the adapter"):
                incoming = area.path / uuid.uuid4().hex
                blob = self._copy(source, incoming)
                self._publish(incoming, blob)
        finally:
            area.remove()
        return blob

    def path(self, sha256: str, size: int) -> Path:
        path = self._path(sha256)
        with storing("look for a stored file"):
            try:
                actual = path.stat().st_size
            except FileNotFoundError as error:
                raise BlobMissing(f"stored file {sha256} is gone", sha256=sha256) from error
        if actual != size:
            raise BlobCorrupt(
                f"stored file {sha256} has {actual} bytes, but its manifest records {size}",
                sha256=sha256,
            )
        return path

    def get(self, sha256: str) -> bytes:
        with storing("read a stored file"):
            try:
                content = self._path(sha256).read_bytes()
            except FileNotFoundError as error:
                raise BlobMissing(f"stored file {sha256} is gone", sha256=sha256) from error
        actual = hashlib.sha256(content).hexdigest()
        if actual != sha256:
            raise BlobCorrupt(
                f"stored file {sha256} is corrupt: its content now has the sha256 {actual}",
                sha256=sha256,
            )
        return content

    def list(self) -> Iterator[str]:
        for shard in sorted(self._content.glob("[0-9a-f][0-9a-f]")):
            yield from sorted(path.name for path in shard.iterdir() if _SHA256.fullmatch(path.name))

    def delete(self, sha256: str) -> None:
        with storing("delete a stored file"):
            self._disk.remove(self._path(sha256))

    def sweep(self) -> Sequence[str]:
        return scratch.sweep(self._incoming, self._disk)

    def _path(self, sha256: str) -> Path:
        if _SHA256.fullmatch(sha256) is None:
            raise BlobMissing(f"{sha256[:80]!r} is not a sha256", sha256=sha256)
        return self._content / sha256[:2] / sha256

    def _copy(self, source: Path, target: Path) -> Blob:
        hasher = hashlib.sha256()
        with open_regular(source) as file:
            self._disk.write(target, _hashing(read_chunks(file), hasher.update))
        return Blob(sha256=hasher.hexdigest(), size=target.stat().st_size)

    def _publish(self, incoming: Path, blob: Blob) -> None:
        target = self._path(blob.sha256)
        if not target.parent.is_dir():
            self._make_shard(target.parent)
        # Replaces a blob of the same name, which has the same content, unless it was corrupted:
        # then it heals.
        self._disk.rename(incoming, target)
        self._disk.sync_directory(target.parent)

    def _make_shard(self, shard: Path) -> None:
        """A new directory is a name that must survive a power cut too: its parent is synced."""
        for directory in (self._content, shard):
            if not directory.is_dir():
                with suppress(FileExistsError):  # another writer was first
                    self._disk.make_directory(directory)
                self._disk.sync_directory(directory.parent)


def _hashing(chunks: Iterable[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
    for chunk in chunks:
        update(chunk)
        yield chunk
