"""Objects as files under one directory, durable when they are put. Knows no hash and no version."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from adapters_registry.errors import BadFileName, BlobMissing, MissingFile, ObjectExists
from adapters_registry.storage.disk import Disk, open_regular, read_chunks, storing
from adapters_registry.storage.object_store import StoredObject

#: within the directory, as that may be a mount point: nothing is linked across file systems
_INCOMING = ".incoming"


class DirectoryStore:
    """The port `ObjectStore` over a directory. Files are put from `incoming`, which is on the same
    file system and holds no object.
    """

    def __init__(self, root: Path, disk: Disk, *, reads_only: bool = False) -> None:
        """Makes the directory, unless it is only read. Raises StorageError."""
        self.directory: Path | None = root
        self.incoming = root / _INCOMING
        self._root = root
        self._disk = disk
        if not reads_only:
            disk.prepare(root)

    def put(self, name: str, source: Path) -> None:
        """Rename and fsync the directory: a power cut leaves all of it or nothing. The source's
        bytes are on stable storage already.
        """
        target = self._root / name
        with storing("store a file"):
            self._make_parents(target.parent)
            try:
                self._disk.link(source, target)  # unlike a rename, it never replaces
            except FileExistsError as error:
                raise ObjectExists(f"there is an object {name} already") from error
            self._disk.sync_directory(target.parent)

    def fetch(self, name: str, target: Path) -> None:
        with storing("read a stored file"):
            try:
                file = open_regular(self._root / name)
            except (BadFileName, MissingFile) as error:
                raise BlobMissing(f"stored file {name} is gone", sha256="") from error
            with file:
                self._disk.write(target, read_chunks(file))

    def size(self, name: str) -> int | None:
        with storing("look for a stored file"), suppress(FileNotFoundError):
            return (self._root / name).stat().st_size
        return None

    def list(self) -> Iterator[StoredObject]:
        with storing("list stored files"):
            for folder, folders, names in os.walk(self._root):
                folders[:] = [name for name in folders if Path(folder, name) != self.incoming]
                for name in names:
                    path = Path(folder) / name
                    with suppress(FileNotFoundError):  # deleted meanwhile
                        status = path.stat()
                        yield StoredObject(
                            name=path.relative_to(self._root).as_posix(),
                            size=status.st_size,
                            modified_at=status.st_mtime,
                        )

    def now(self) -> float:
        return time.time()

    def delete(self, name: str) -> None:
        with storing("delete a stored file"):
            self._disk.remove(self._root / name)

    def _make_parents(self, folder: Path) -> None:
        """A new directory is a name that must survive a power cut too: its parent is synced."""
        missing = [path for path in (folder, *folder.parents) if not path.is_dir()]
        for path in reversed(missing):
            with suppress(FileExistsError):  # another writer was first
                self._disk.make_directory(path)
            self._disk.sync_directory(path.parent)
