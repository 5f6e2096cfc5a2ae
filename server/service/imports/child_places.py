"""How many child processes of one kind run at a time, and how long a caller waits for one.

Knows no child process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from server.errors import HungUp, Overloaded

_TICK_S = 0.1


class ChildPlaces:
    """Whoever waits holds a thread that others need, so it gives up: after a while, and at once if
    its caller hung up. Any thread may ask.
    """

    def __init__(
        self, num: int, wait_s: float = 30.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._places = threading.BoundedSemaphore(num)
        self._wait_s, self._clock = wait_s, clock
        self._tenants: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, gone: threading.Event) -> Iterator[None]:
        """Raises HungUp, and Overloaded."""
        until = self._clock() + self._wait_s
        while not self._places.acquire(timeout=_TICK_S):
            if gone.is_set():
                raise HungUp
            if self._clock() >= until:
                raise Overloaded(
                    f"Other adapters were being read for {self._wait_s:.0f} s; try again later.",
                    retry_after_s=self._wait_s,
                )
        try:
            yield
        finally:
            self._places.release()

    @contextmanager
    def hold_alone(self, tenant: str, gone: threading.Event) -> Iterator[None]:
        """One of a tenant at a time, the waiting included. Raises HungUp, and Overloaded."""
        with self._lock:
            if tenant in self._tenants:
                raise Overloaded(
                    "An import of this tenant is running; try again when it has ended.",
                    retry_after_s=self._wait_s,
                )
            self._tenants.add(tenant)
        try:
            with self.hold(gone):
                yield
        finally:
            with self._lock:
                self._tenants.discard(tenant)
