"""Remembers for a while which digests cannot be loaded. Knows no engine."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

_MAX_FAILURES = 10_000


class KnownFailures:
    """Bounded: beyond that the oldest is tried again."""

    def __init__(self, retry_after_s: float, clock: Callable[[], float]) -> None:
        self._retry_after_s, self._clock = retry_after_s, clock
        #: when each may be tried again, in the order in which they failed
        self._failures: OrderedDict[str, tuple[float, Exception]] = OrderedDict()

    def add(self, digest: str, error: Exception, retry_after_s: float | None = None) -> None:
        """For a time of its own, where one is given."""
        self.forget(digest)
        if len(self._failures) >= _MAX_FAILURES:
            self._failures.popitem(last=False)
        wait_s = self._retry_after_s if retry_after_s is None else retry_after_s
        self._failures[digest] = (self._clock() + wait_s, error)

    def forget(self, digest: str) -> None:
        self._failures.pop(digest, None)

    def raise_known(self, digest: str) -> None:
        """Raises what the digest failed with, if that is not long ago."""
        until, error = self._failures.get(digest, (0.0, None))
        if error is not None and until > self._clock():
            raise error.with_traceback(None)
