"""Translates errors of the file system into the trainer's. Knows no file."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from trainer.errors import OutOfFiles, StorageFailed, StorageFull

_KINDS: dict[int, type[StorageFailed]] = {
    errno.ENOSPC: StorageFull,
    errno.EDQUOT: StorageFull,
    errno.EMFILE: OutOfFiles,
    errno.ENFILE: OutOfFiles,
}


def storage_error(problem: str, error: OSError) -> StorageFailed:
    """`problem` begins its message, such as "The upload could not be stored"."""
    kind = _KINDS.get(error.errno or 0, StorageFailed)
    return kind(f"{problem}: {error.strerror or error}.")


def has_run_out(error: BaseException) -> bool:
    """Whether the disk is full, or the limit of open files is reached."""
    return isinstance(error, OSError) and error.errno in _KINDS


@contextmanager
def storing(problem: str) -> Iterator[None]:
    """Raises StorageFailed instead of OSError."""
    try:
        yield
    except OSError as error:
        raise storage_error(problem, error) from error
