"""File descriptors of this process: how many there may be, and how many of them callers may hold.

Whatever is left over is for adapters, databases, uploads and the engine, so that a crowd of callers
never stops the server from opening a file.
"""

from __future__ import annotations

import contextlib
import resource
from dataclasses import dataclass

#: far more than callers get by default; some programs grow slow where the limit is in the millions
_MOST = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionShares:
    """How many connections each port may hold at once."""

    http: int
    grpc: int
    metrics: int

    @classmethod
    def within(cls, descriptors: int, most: int) -> ConnectionShares:
        """`most` for HTTP and gRPC each, or less where the descriptors do not suffice."""
        available = descriptors - max(64, descriptors // 4)
        return cls(
            http=max(1, min(most, available // 2)),
            grpc=max(1, min(most, available * 3 // 8)),
            metrics=max(1, min(64, available // 16)),
        )


def raise_descriptor_limit() -> None:
    """To what the system lets this process have without asking."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < limit:
        with contextlib.suppress(OSError, ValueError):  # some containers forbid even that
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def descriptor_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else min(soft, _MOST)
