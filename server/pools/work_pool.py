"""A thread pool for one kind of blocking work, with a share for each tenant. Knows no work.

Calls without a free thread, or beyond their tenant's share, wait in a queue per tenant. The queues
are served in turn, so that a hundred calls of one tenant do not delay one call of another.
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

_Queue = deque[asyncio.Future[None]]
#: the expected duration before the first measurement
_FIRST_GUESS_S = 1.0
_MEMORY = 0.8


class WorkPool:
    """Used on the event loop's thread only; the work itself may block."""

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
        #: queues by tenant; the next tenant is first
        self._queues: OrderedDict[str, _Queue] = OrderedDict()
        self._seconds = _FIRST_GUESS_S

    @property
    def num_running(self) -> int:
        return self._running.total()

    @property
    def num_waiting(self) -> int:
        return sum(map(len, self._queues.values()))

    async def run(self, tenant: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Raises Overloaded if too many calls of the tenant wait, or this one waits too long."""
        return await self._run(tenant, lambda: work(*args, **kwargs), threading.Event())

    async def run_for(
        self, tenant: str, work: Callable[Concatenate[str, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `run`, for work whose first argument is the tenant."""
        return await self._run(tenant, lambda: work(tenant, *args, **kwargs), threading.Event())

    async def run_cancellable(self, tenant: str, work: Callable[[threading.Event], T]) -> T:
        """The event is set once the caller has disconnected; the work should then end, which frees
        its thread.
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
            done.exception()  # retrieved: the caller gets it from the awaited future
        self._leave(tenant)

    async def _enter(self, tenant: str) -> None:
        queue = self._queues.get(tenant)
        if queue is None and self.num_running < self._places and self._may_run(tenant):
            self._running[tenant] += 1
            return
        if queue is None:
            queue = self._queues[tenant] = deque()
        elif len(queue) >= self._max_waiting:
            raise self._make_overloaded(len(queue))
        await self._wait(tenant, queue)

    async def _wait(self, tenant: str, queue: _Queue) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            async with asyncio.timeout(self._wait_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._leave(tenant)  # it got its thread while it was cancelled
            elif turn in queue:
                queue.remove(turn)
                self._drop_empty(tenant)
            if isinstance(error, TimeoutError):
                raise self._make_overloaded(len(queue)) from None
            raise

    def _leave(self, tenant: str) -> None:
        self._running[tenant] -= 1
        if not self._running[tenant]:
            del self._running[tenant]
        while self.num_running < self._places and (next_tenant := self._next_tenant()) is not None:
            queue = self._queues[next_tenant]
            turn = queue.popleft()
            self._queues.move_to_end(next_tenant)
            self._drop_empty(next_tenant)
            if not turn.done():
                self._running[next_tenant] += 1
                turn.set_result(None)

    def _next_tenant(self) -> str | None:
        return next((tenant for tenant in self._queues if self._may_run(tenant)), None)

    def _may_run(self, tenant: str) -> bool:
        return self._running[tenant] < self._share

    def _drop_empty(self, tenant: str) -> None:
        if not self._queues.get(tenant, True):
            del self._queues[tenant]

    def _make_overloaded(self, num_waiting: int) -> Overloaded:
        return Overloaded(
            f"{self._share} of your calls of this kind ({self._name}) run and {num_waiting} wait; "
            "try again later.",
            retry_after_s=max(1.0, self._seconds * (num_waiting + 1) / self._share),
        )
