"""Atomic writes of directories and files: complete and on stable storage, or absent.

Knows nothing of their content.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PART = ".part"


@contextmanager
def atomic_directory(target: Path) -> Iterator[Path]:
    """Yields a directory to fill, which is renamed to `target` when the context ends without error.

    Raises OSError, also where `target` exists already or its parent does not. A crash leaves only
    directories for which `is_unfinished` is true.
    """
    part = target.with_name(f".{target.name}{_PART}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    try:
        yield part
        for file in sorted(part.iterdir()):
            file.chmod(0o600)
            _sync(file)
        _sync(part)
        part.rename(target)
        _sync(target.parent)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def write_atomic(target: Path, data: bytes) -> None:
    """Replace the file by one with these bytes. Raises OSError, and then keeps the old file."""
    part = target.with_name(f".{target.name}{_PART}")
    try:
        part.touch(mode=0o600)
        part.write_bytes(data)
        _sync(part)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync(target.parent)


def is_unfinished(path: Path) -> bool:
    """Whether a writer that died has left it behind."""
    return path.name.endswith(_PART)


def remove(path: Path) -> None:
    """Remove a file or directory as far as possible; a missing one is no error."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
