"""A thread pool for one kind of blocking work, with a share for each tenant. Knows no work.

Calls without a free thread, or beyond their tenant's share, wait in a queue per tenant. The queues
are served in turn, so that a hundred calls of one tenant do not delay one call of another. A call
that takes longer than the pool's limit is refused, while its thread goes on with it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, Concatenate, ParamSpec, TypeVar

from server.errors import Overloaded
from server.pools.daemon_threads import DaemonThreads

P = ParamSpec("P")
T = TypeVar("T")

_Queue = deque[asyncio.Future[None]]
#: the expected duration before the first measurement
_FIRST_GUESS_S = 1.0
_MEMORY = 0.8


class WorkPool:
    """Used on the event loop's thread only; the work itself may block."""

    def __init__(
        self,
        name: str,
        *,
        places: int,
        share: int,
        max_waiting: int,
        wait_s: float = 60.0,
        limit_s: float | None = None,
        late: Callable[[], Exception] = TimeoutError,
    ) -> None:
        """At most `share` of `places` run for one tenant; `max_waiting` calls of it wait, each no
        longer than `wait_s`. One that runs for longer than `limit_s` fails with what `late` makes.
        """
        self._name, self._places, self._share = name, places, share
        self._max_waiting, self._wait_s = max_waiting, wait_s
        self._limit_s, self._make_late = limit_s, late
        self._threads = DaemonThreads(places, name)
        self._running: Counter[str] = Counter()
        #: queues by tenant; the next tenant is first
        self._queues: OrderedDict[str, _Queue] = OrderedDict()
        self._seconds = _FIRST_GUESS_S
        #: running calls that were refused, with their tenants
        self._late: dict[asyncio.Future[Any], str] = {}

    @property
    def num_running(self) -> int:
        return self._running.total()

    @property
    def num_waiting(self) -> int:
        return sum(map(len, self._queues.values()))

    async def run(self, tenant: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Raises Overloaded if too many calls of the tenant wait, or this one waits too long; and
        what `late` makes if it runs too long, or all that it would wait for do.
        """
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
        self._threads.shutdown()

    async def _run(self, tenant: str, work: Callable[[], T], gone: threading.Event) -> T:
        await self._enter(tenant)
        started = time.monotonic()
        try:
            # with the caller's context, which says for whom the work is done
            run = copy_context().run
            running = asyncio.get_running_loop().run_in_executor(self._threads, run, work)
        except RuntimeError:  # closed
            self._leave(tenant)
            raise
        running.add_done_callback(lambda done: self._on_done(tenant, started, done))
        try:
            await asyncio.wait({running}, timeout=self._limit_s)
        except asyncio.CancelledError:
            gone.set()
            raise
        if running.done():
            return running.result()
        gone.set()
        self._late[running] = tenant
        raise self._make_late()

    def _on_done(self, tenant: str, started: float, done: asyncio.Future[T]) -> None:
        self._late.pop(done, None)
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
        if self._is_stuck(tenant):
            raise self._make_late()
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

    def _is_stuck(self, tenant: str) -> bool:
        """Whether no place is in sight: calls that are late hold all that it may have."""
        mine = sum(each == tenant for each in self._late.values())
        return len(self._late) >= self._places or mine >= self._share

    def _drop_empty(self, tenant: str) -> None:
        if not self._queues.get(tenant, True):
            del self._queues[tenant]

    def _make_overloaded(self, num_waiting: int) -> Overloaded:
        return Overloaded(
            f"{self._share} of your calls of this kind ({self._name}) run and {num_waiting} wait; "
            "try again later.",
            retry_after_s=max(1.0, self._seconds * (num_waiting + 1) / self._share),
        )
