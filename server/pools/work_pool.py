"""Threads for one kind of blocking work, with a share of them for each tenant. Knows no work.

Whoever finds no thread free, or has its share, waits in line; lines take turns by tenant, so that
one tenant's hundred calls are no longer a wait for another's one.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from server.errors import Overloaded

P = ParamSpec("P")
T = TypeVar("T")

_Line = deque[asyncio.Future[None]]
#: what is thought of the time a work takes, until one was seen
_FIRST_GUESS_S = 1.0
_MEMORY = 0.8


class WorkPool:
    """For the event loop's thread alone; what is run in it may be anything that blocks."""

    def __init__(
        self, name: str, *, places: int, share: int, max_waiting: int, wait_s: float = 60.0
    ) -> None:
        """At most `share` of `places` run for one tenant; `max_waiting` calls of it wait, each no
        longer than `wait_s`.
        """
        self._name, self._places, self._share = name, places, share
        self._max_waiting, self._wait_s = max_waiting, wait_s
        self._threads = ThreadPoolExecutor(places, thread_name_prefix=name)
        self._running: Counter[str] = Counter()
        #: by tenant; the one whose turn is next is first
        self._lines: OrderedDict[str, _Line] = OrderedDict()
        self._seconds = _FIRST_GUESS_S

    @property
    def num_running(self) -> int:
        return self._running.total()

    @property
    def num_waiting(self) -> int:
        return sum(map(len, self._lines.values()))

    async def run(self, tenant: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Raises Overloaded where too much of the tenant waits already, or it waits too long."""
        return await self._run(tenant, lambda: work(*args, **kwargs), threading.Event())

    async def run_for(
        self, tenant: str, work: Callable[Concatenate[str, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `run`, of work that takes the tenant first."""
        return await self._run(tenant, lambda: work(tenant, *args, **kwargs), threading.Event())

    async def run_cancellable(self, tenant: str, work: Callable[[threading.Event], T]) -> T:
        """The event is set once the caller is gone; the work should end then. Its place is free
        when it has.
        """
        gone = threading.Event()
        return await self._run(tenant, lambda: work(gone), gone)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, tenant: str, work: Callable[[], T], gone: threading.Event) -> T:
        await self._enter(tenant)
        started = time.monotonic()
        try:
            running = asyncio.get_running_loop().run_in_executor(self._threads, work)
        except RuntimeError:  # closed
            self._leave(tenant)
            raise
        running.add_done_callback(lambda done: self._on_done(tenant, started, done))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            gone.set()
            raise

    def _on_done(self, tenant: str, started: float, done: asyncio.Future[T]) -> None:
        took = time.monotonic() - started
        self._seconds = _MEMORY * self._seconds + (1 - _MEMORY) * took
        if not done.cancelled():
            done.exception()  # told to whoever asked, if anyone is left
        self._leave(tenant)

    async def _enter(self, tenant: str) -> None:
        line = self._lines.get(tenant)
        if line is None and self.num_running < self._places and self._may_run(tenant):
            self._running[tenant] += 1
            return
        if line is None:
            line = self._lines[tenant] = deque()
        elif len(line) >= self._max_waiting:
            raise self._make_overloaded(len(line))
        await self._wait(tenant, line)

    async def _wait(self, tenant: str, line: _Line) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            async with asyncio.timeout(self._wait_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._leave(tenant)  # its turn came while it was given up
            elif turn in line:
                line.remove(turn)
                self._drop_empty(tenant)
            if isinstance(error, TimeoutError):
                raise self._make_overloaded(len(line)) from None
            raise

    def _leave(self, tenant: str) -> None:
        self._running[tenant] -= 1
        if not self._running[tenant]:
            del self._running[tenant]
        while self.num_running < self._places and (next_tenant := self._next_tenant()) is not None:
            line = self._lines[next_tenant]
            turn = line.popleft()
            self._lines.move_to_end(next_tenant)
            self._drop_empty(next_tenant)
            if not turn.done():
                self._running[next_tenant] += 1
                turn.set_result(None)

    def _next_tenant(self) -> str | None:
        return next((tenant for tenant in self._lines if self._may_run(tenant)), None)

    def _may_run(self, tenant: str) -> bool:
        return self._running[tenant] < self._share

    def _drop_empty(self, tenant: str) -> None:
        if not self._lines.get(tenant, True):
            del self._lines[tenant]

    def _make_overloaded(self, num_waiting: int) -> Overloaded:
        return Overloaded(
            f"{self._share} calls of this kind ({self._name}) run for you and {num_waiting} wait; "
            "try again later.",
            retry_after_s=max(1.0, self._seconds * (num_waiting + 1) / self._share),
        )
