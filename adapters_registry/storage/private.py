"""Files and directories that only this process's user may read, whatever the umask is. Knows
nothing of what is in them.
"""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from typing import BinaryIO

_log = logging.getLogger(__name__)
_DIRECTORY, _FILE = 0o700, 0o600
_OTHERS = 0o077


def make_directory(path: Path) -> None:
    """With its parents; those that are missing are private too. Raises OSError."""
    for directory in (*reversed(path.parents), path):
        if not directory.is_dir():
            directory.mkdir(mode=_DIRECTORY, exist_ok=True)


def create(path: Path) -> BinaryIO:
    """A new file, to write to. Raises OSError, also where there is one already."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, _FILE), "wb")


def make_file(path: Path) -> None:
    """An empty file where there is none, for a library that opens it by its path. Raises OSError.

    SQLite gives the files beside its database the mode that this one has.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE))


def tighten(directory: Path) -> None:
    """Take from others what an earlier release, or another umask, let them do."""
    num_open = 0
    for root, _, names in os.walk(directory):
        for path, mode in ((root, _DIRECTORY), *((f"{root}/{name}", _FILE) for name in names)):
            num_open += not _is_tight(path, mode)
    if num_open:
        extra = {"action": "data.readable", "paths": num_open}
        _log.warning("others may read files of the data directory %s", directory, extra=extra)


def _is_tight(path: str, mode: int) -> bool:
    """Whether only its owner may use it now."""
    try:
        mode_now = os.lstat(path).st_mode
        if stat.S_IMODE(mode_now) & _OTHERS and not stat.S_ISLNK(mode_now):
            Path(path).chmod(mode)
    except FileNotFoundError:  # a database's own files come and go
        return True
    except OSError:  # another user's, or a file system without modes
        return False
    return True
