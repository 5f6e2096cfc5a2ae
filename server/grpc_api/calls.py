"""How many gRPC calls are under way, and whose, so that no tenant takes all there may be. Knows no
method.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from server.errors import TooManyCalls


class Calls:
    """At most `most` at once: three quarters of them one tenant's, and a quarter its streams, which
    may stay for hours.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._most_of_tenant = max(1, most * 3 // 4)
        self._most_streams = max(1, most // 4)
        self._calls: Counter[str] = Counter()
        self._streams: Counter[str] = Counter()

    @contextmanager
    def track(self, tenant: str, *, is_stream: bool) -> Iterator[None]:
        """Raises TooManyCalls."""
        if self._calls.total() >= self._most:
            raise TooManyCalls(f"{self._most} calls are under way, all that this server takes.")
        counters = [(self._calls, self._most_of_tenant, "calls")]
        if is_stream:
            counters.append((self._streams, self._most_streams, "streams"))
        for counter, most, what in counters:
            if counter[tenant] >= most:
                raise TooManyCalls(f"You have {most} {what} under way, all that one tenant may.")
        for counter, _, _ in counters:
            counter[tenant] += 1
        try:
            yield
        finally:
            for counter, _, _ in counters:
                counter[tenant] -= 1
                if not counter[tenant]:
                    del counter[tenant]  # who has none is not remembered
