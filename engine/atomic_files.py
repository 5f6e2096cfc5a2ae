"""Directories and files that are there whole and on stable storage, or not at all. Knows nothing of
what is in them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PART = ".part"


@contextmanager
def whole_directory(target: Path) -> Iterator[Path]:
    """Fill the directory that this gives; it is `target` once the context ends well.

    Raises OSError, also where `target` is there already or its parent is not. A crash leaves at
    most `unfinished` directories behind.
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


def write_whole(target: Path, data: bytes) -> None:
    """A file with these bytes in place of the one before it. Raises OSError, and keeps that one."""
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


def unfinished(path: Path) -> bool:
    """Whether a writer that died left it."""
    return path.name.endswith(_PART)


def remove(path: Path) -> None:
    """As far as it can be removed; what is not there is no error."""
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
