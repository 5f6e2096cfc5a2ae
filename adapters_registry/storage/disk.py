"""Every file-system call that changes something, one method each, so that a test can fail any.

Knows nothing of versions. OSErrors leave as typed storage errors that name no path.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from adapters_registry.errors import (
    BadFileName,
    MissingFile,
    OutOfFiles,
    StorageError,
    StorageFull,
    StorageReadOnly,
)
from adapters_registry.storage import private

CHUNK_BYTES = 1 << 20
_KINDS: dict[int, type[StorageError]] = {
    errno.ENOSPC: StorageFull,
    errno.EDQUOT: StorageFull,
    errno.EROFS: StorageReadOnly,
    errno.EACCES: StorageReadOnly,
    errno.EPERM: StorageReadOnly,
    errno.EMFILE: OutOfFiles,
    errno.ENFILE: OutOfFiles,
}


@contextmanager
def storing(action: str) -> Iterator[None]:
    """Turn an OSError into the storage error it means, saying what was done, not where."""
    try:
        yield
    except OSError as error:
        kind = _KINDS.get(error.errno or 0, StorageError)
        raise kind(f"cannot {action}: {error.strerror or type(error).__name__}") from error


def open_regular(path: Path) -> BinaryIO:
    """Open a foreign file: never through a symlink, never a device or a FIFO, which would block."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError as error:
        raise MissingFile(f"{path.name} is not there", name=path.name) from error
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise BadFileName(f"{path.name} is a symbolic link", name=path.name) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadFileName(f"{path.name} is not a regular file", name=path.name)
    return os.fdopen(descriptor, "rb")


def read_chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


class Disk:
    """The real file system."""

    def prepare(self, directory: Path) -> None:
        """Have this directory, its name as durable as what will be in it."""
        with storing("open the data directory"):
            if not directory.is_dir():
                private.make_directory(directory)
                self.sync_directory(directory.parent)

    def make_directory(self, path: Path) -> None:
        path.mkdir(mode=0o700)

    def write(self, path: Path, chunks: Iterable[bytes]) -> None:
        """A new file with these bytes, on stable storage; or no file at all.

        Whatever the chunks themselves raise (a caller that hangs up) leaves as it is.
        """
        with storing(f"write {path.name}"):
            file = self.create(path)
        try:
            for chunk in chunks:
                with storing(f"write {path.name}"):
                    self.append(file, chunk)
            with storing(f"write {path.name}"):
                self.sync(file)
                file.close()
        except BaseException:
            # the first error is the one to report; on a full disk closing fails too, as it writes
            # what the file still holds in memory
            with suppress(OSError):
                file.close()
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise

    def create(self, path: Path) -> BinaryIO:
        return private.create(path)

    def append(self, file: BinaryIO, chunk: bytes) -> None:
        file.write(chunk)

    def sync(self, file: BinaryIO) -> None:
        file.flush()
        os.fsync(file.fileno())

    def rename(self, source: Path, target: Path) -> None:
        source.replace(target)

    def link(self, source: Path, target: Path) -> None:
        """Raises FileExistsError, unlike a rename, which replaces."""
        os.link(source, target)

    def sync_directory(self, path: Path) -> None:
        """Without this a new name may be lost with the power, although the file's bytes are not."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def remove_tree(self, path: Path) -> None:
        shutil.rmtree(path)

    def lock(self, file: Path, *, wait: bool = False) -> int | None:
        """Hold a file, made where it is missing, until the descriptor closes or its owner dies;
        None if held, unless told to wait.

        A file, and open for writing: NFS refuses to lock what is open for reading alone, and locks
        a directory on the one machine only.
        """
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def unlock(self, descriptor: int) -> None:
        os.close(descriptor)
