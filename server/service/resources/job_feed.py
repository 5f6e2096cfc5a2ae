"""Streams of job updates: one poll of the database for all streams, and one read of a job for all
streams at the same position. Knows no transport.
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
    """One job, shared by the streams that watch it."""

    def __init__(self, read: Callable[[int], Awaitable[T]]) -> None:
        self._read = read
        self._readings: dict[int, asyncio.Task[T]] = {}
        self._changed = asyncio.Event()
        self.num_watchers = 0
        #: the stamp of the last poll; None before it
        self.stamp: Stamp | None = None

    async def read(self, after: int) -> T:
        """The job as of the last observed change, or later."""
        reading = self._readings.get(after)
        if reading is None:
            reading = self._readings[after] = asyncio.ensure_future(self._read(after))
            reading.add_done_callback(lambda _: self._forget(after))
        # a caller who disconnects must not cancel a read that others await
        return await asyncio.shield(reading)

    async def change(self, at_most_s: float) -> bool:
        """Waits for the next change; False if none came in time."""
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
    """Used on the event loop's thread only. It polls only while a stream is open."""

    def __init__(
        self,
        changes: JobChanges,
        lookups: WorkPool,
        *,
        max_streams: int,
        poll_s: float = _POLL_S,
    ) -> None:
        """A tenant may have `max_streams` streams at a time."""
        self._changes, self._lookups = changes, lookups
        self._max_streams, self._poll_s = max_streams, poll_s
        self._jobs: dict[tuple[str, str], WatchedJob[T]] = {}
        self._streams: Counter[str] = Counter()
        self._polling: asyncio.Task[None] | None = None

    @contextmanager
    def watching(
        self, tenant: str, job_id: str, read: Callable[[int], Awaitable[T]]
    ) -> Iterator[WatchedJob[T]]:
        """`read` returns the job and its events after a number. Raises Overloaded."""
        if self._streams[tenant] >= self._max_streams:
            raise Overloaded(
                f"You have {self._max_streams} job streams open, the most that a tenant may have "
                "(max_streams_per_tenant); close one first.",
                retry_after_s=5.0,
            )
        key = tenant, job_id
        job = self._jobs.setdefault(key, WatchedJob(read))
        self._streams[tenant] += 1
        job.num_watchers += 1
        if self._polling is None or self._polling.done():
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
            if not self._jobs and self._polling is not None:
                self._polling.cancel()
                self._polling = None

    def wake_all(self) -> None:
        """Wakes all streams, for instance when the server drains."""
        for job in list(self._jobs.values()):
            job.wake()

    async def _poll(self) -> None:
        while True:
            with suppress(StorageFailed, Overloaded):  # the next poll may succeed
                await self._check_changes()
            await asyncio.sleep(self._poll_s)

    async def _check_changes(self) -> None:
        watched = dict(self._jobs)
        ids = {job_id for _, job_id in watched}
        stamps = await self._lookups.run(OPERATOR, self._changes.stamps, ids)
        for (_, job_id), job in watched.items():
            if job.stamp != (stamp := stamps.get(job_id)):
                job.stamp = stamp
                job.wake()
