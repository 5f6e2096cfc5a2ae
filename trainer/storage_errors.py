"""Translates errors of the file system and of the shared state into the trainer's. Knows no file
and no row.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from adapters_registry import errors as registry
from trainer.errors import (
    OutOfFiles,
    StorageBusy,
    StorageFailed,
    StorageFull,
    StorageUnavailable,
)

_KINDS: dict[int, type[StorageFailed]] = {
    errno.ENOSPC: StorageFull,
    errno.EDQUOT: StorageFull,
    errno.EMFILE: OutOfFiles,
    errno.ENFILE: OutOfFiles,
}
_SHARED_KINDS: dict[type[registry.StorageError], type[StorageFailed]] = {
    registry.StorageFull: StorageFull,
    registry.StorageBusy: StorageBusy,
    registry.OutOfFiles: OutOfFiles,
    registry.StorageUnavailable: StorageUnavailable,
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
    """Raises StorageFailed instead of OSError and the registry's StorageError."""
    try:
        yield
    except OSError as error:
        raise storage_error(problem, error) from error
    except registry.StorageError as error:
        kind = _SHARED_KINDS.get(type(error), StorageFailed)
        # "cannot write to the database: …": the problem says that already
        reason = str(error).partition(": ")[2] or str(error)
        raise kind(f"{problem}: {reason}.") from error
