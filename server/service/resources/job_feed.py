"""Who watches which job: one look at the database for all of them, and one reading of a job for all
who have read it equally far. Knows no transport.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

from server.errors import Overloaded
from server.pools.pools import OPERATOR
from server.pools.work_pool import WorkPool
from trainer.errors import StorageFailed
from trainer.jobs.changes import JobChanges, Stamp

T = TypeVar("T")
_POLL_S = 0.25


class WatchedJob(Generic[T]):
    """One job, for all who watch it."""

    def __init__(self, read: Callable[[int], Awaitable[T]]) -> None:
        self._read = read
        self._readings: dict[int, asyncio.Task[T]] = {}
        self._changed = asyncio.Event()
        self.num_watchers = 0
        #: as it was last seen; none yet
        self.stamp: Stamp | None = None

    async def read(self, after: int) -> T:
        """As of the last change that was seen, or later."""
        reading = self._readings.get(after)
        if reading is None:
            reading = self._readings[after] = asyncio.ensure_future(self._read(after))
            reading.add_done_callback(lambda _: self._forget(after))
        # whoever hangs up does not stop what others wait for
        return await asyncio.shield(reading)

    async def change(self, at_most_s: float) -> bool:
        """Waits for the next change; False where none came in time."""
        changed = self._changed
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await changed.wait()
        return changed.is_set()

    def wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        self._readings.clear()
        changed.set()

    def _forget(self, after: int) -> None:
        reading = self._readings.get(after)
        if reading is not None and reading.done():
            del self._readings[after]
            if not reading.cancelled():
                reading.exception()


class JobFeed(Generic[T]):
    """For the event loop's thread alone. It looks for changes only while somebody watches."""

    def __init__(
        self,
        changes: JobChanges,
        lookups: WorkPool,
        *,
        max_streams: int,
        poll_s: float = _POLL_S,
    ) -> None:
        """A tenant may watch `max_streams` times at once."""
        self._changes, self._lookups = changes, lookups
        self._max_streams, self._poll_s = max_streams, poll_s
        self._jobs: dict[tuple[str, str], WatchedJob[T]] = {}
        self._streams: Counter[str] = Counter()
        self._generation: int | None = None
        self._polling: asyncio.Task[None] | None = None

    @contextmanager
    def watching(
        self, tenant: str, job_id: str, read: Callable[[int], Awaitable[T]]
    ) -> Iterator[WatchedJob[T]]:
        """`read` gives what is new behind a number. Raises Overloaded."""
        if self._streams[tenant] >= self._max_streams:
            raise Overloaded(
                f"You watch jobs with {self._max_streams} streams at once, which is as many as may "
                "be (max_streams_per_tenant); end one first.",
                retry_after_s=5.0,
            )
        key = tenant, job_id
        job = self._jobs.setdefault(key, WatchedJob(read))
        self._streams[tenant] += 1
        job.num_watchers += 1
        if self._polling is None:
            self._polling = asyncio.ensure_future(self._poll())
        try:
            yield job
        finally:
            job.num_watchers -= 1
            self._streams[tenant] -= 1
            if not self._streams[tenant]:
                del self._streams[tenant]
            if not job.num_watchers:
                del self._jobs[key]

    def wake_all(self) -> None:
        """There is something else to see than a change."""
        for job in list(self._jobs.values()):
            job.wake()

    async def _poll(self) -> None:
        try:
            while self._jobs:
                with suppress(StorageFailed, Overloaded):  # the next look may do better
                    await self._look()
                await asyncio.sleep(self._poll_s)
        finally:
            self._polling = None

    async def _look(self) -> None:
        generation = await self._lookups.run(OPERATOR, self._changes.generation)
        if generation == self._generation:
            return
        watched = dict(self._jobs)
        ids = {job_id for _, job_id in watched}
        stamps = await self._lookups.run(OPERATOR, self._changes.stamps, ids)
        self._generation = generation
        for (_, job_id), job in watched.items():
            if job.stamp != (stamp := stamps.get(job_id)):
                job.stamp = stamp
                job.wake()
