"""Limits the file descriptors that connections may use.

The rest is left for adapters, databases, uploads and the engine, so that connections never prevent
the server from opening a file.
"""

from __future__ import annotations

import contextlib
import resource
from dataclasses import dataclass

#: far above the default limits for callers; some programs become slow with a limit of millions
_MOST = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionShares:
    """How many connections each port may hold at once."""

    http: int
    grpc: int
    metrics: int

    @classmethod
    def within(cls, descriptors: int, most: int) -> ConnectionShares:
        """`most` for HTTP and gRPC each, or fewer if there are not enough descriptors."""
        available = descriptors - max(64, descriptors // 4)
        return cls(
            http=max(1, min(most, available // 2)),
            grpc=max(1, min(most, available * 3 // 8)),
            metrics=max(1, min(64, available // 16)),
        )


def raise_descriptor_limit() -> None:
    """Raises the soft limit up to the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < limit:
        with contextlib.suppress(OSError, ValueError):  # forbidden in some containers
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def descriptor_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else min(soft, _MOST)
