"""Whose fault it is that a file cannot be read: the adapter's, which has none there, or the
machine's, which has no more file handles, or a broken disk. Knows no layout; no torch.
"""

from __future__ import annotations

import errno

from engine.errors import BadAdapter, EngineError, FilesUnreadable

_ADAPTERS_OWN = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}


def unreadable(what: str, error: OSError) -> EngineError:
    """What to raise: only what is the adapter's own fault may be remembered of it."""
    kind = BadAdapter if error.errno in _ADAPTERS_OWN else FilesUnreadable
    return kind(f"{what} cannot be read: {error.strerror or error}")
