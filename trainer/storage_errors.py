"""What an error of the file system means to the trainer's caller. Knows no file."""

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


def storage_error(what: str, error: OSError) -> StorageFailed:
    """`what` could not be done."""
    kind = _KINDS.get(error.errno or 0, StorageFailed)
    return kind(f"{what}: {error.strerror or error}.")


def has_run_out(error: BaseException) -> bool:
    """Whether it says that the machine has no more room, or no more file handles."""
    return isinstance(error, OSError) and error.errno in _KINDS


@contextmanager
def storing(what: str) -> Iterator[None]:
    """Raises StorageFailed instead of OSError."""
    try:
        yield
    except OSError as error:
        raise storage_error(what, error) from error
