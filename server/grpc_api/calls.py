"""Counts gRPC calls in progress by tenant, so that no tenant takes all of them. Knows no method."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from server.errors import TooManyCalls


class Calls:
    """At most `most` calls at once. One tenant may have three quarters of them, and a quarter as
    streams, which may stay open for hours.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._most_of_tenant = max(1, most * 3 // 4)
        self._most_streams = max(1, most // 4)
        self._calls: Counter[str] = Counter()
        self._streams: Counter[str] = Counter()

    @contextmanager
    def track(self, tenant: str, *, is_stream: bool) -> Iterator[None]:
        """Counts the call while the block runs. Raises TooManyCalls."""
        if self._calls.total() >= self._most:
            raise TooManyCalls(
                f"{self._most} calls are in progress, the most that this server accepts; "
                "try again later."
            )
        counters = [(self._calls, self._most_of_tenant, "calls")]
        if is_stream:
            counters.append((self._streams, self._most_streams, "streams"))
        for counter, most, kind in counters:
            if counter[tenant] >= most:
                raise TooManyCalls(
                    f"You have {most} {kind} in progress, the most that one tenant may have; "
                    "try again later."
                )
        for counter, _, _ in counters:
            counter[tenant] += 1
        try:
            yield
        finally:
            for counter, _, _ in counters:
                counter[tenant] -= 1
                if not counter[tenant]:
                    del counter[tenant]  # tenants without calls take no memory
