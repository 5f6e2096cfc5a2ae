"""Connects asyncio with the engine's port: admits entries, sends batches, resolves futures,
releases leases. `batch_scheduler` decides which entries go together.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from engine.errors import BadAdapter, EngineError, EngineGone, NotLoaded
from engine.port import EnginePort, Predict, Predicted, Result, Row
from server.dispatch.batch_scheduler import BatchLimits, decide
from server.dispatch.entry import Answer, Entry
from server.dispatch.request_queue import RequestQueue
from server.dispatch.residency import Residency
from server.dispatch.slots import Placement, SlotTable
from server.errors import DeadlinePassed, Stale
from server.observers import BatchObserver


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Batch:
    entries: list[Entry]
    placement: Placement
    sizes: dict[str, int]
    generation: int


class Batcher:
    """At most one batch running and one sent ahead. All methods are called on the event loop."""

    def __init__(
        self,
        *,
        port: EnginePort,
        residency: Residency,
        queue: RequestQueue,
        slots: SlotTable,
        limits: BatchLimits,
        observer: BatchObserver,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._port = port
        self._residency = residency
        self._queue = queue
        self._slots = slots
        self._limits = limits
        self._observer = observer
        self._clock = clock
        self._generation = port.generation
        self._running: list[_Batch] = []
        self._pump_due = False
        self._reserved: Mapping[str, int] = {}
        #: called when a batch has released its slots, before the next batch takes any
        self.on_freed: Callable[[], object] = lambda: None
        residency.on_unload = slots.forget

    @property
    def running_labels(self) -> set[str]:
        return {entry.label for batch in self._running for entry in batch.entries}

    async def run(self, entries: Sequence[Entry]) -> list[Answer]:
        """The answers of one call's entries.

        Takes over their leases; if the caller disconnects, its rows leave the queue.
        """
        try:
            self._queue.admit(entries)
            self.wake()
            return [await entry.future for entry in entries]
        finally:
            for entry in entries:
                self._queue.abandon(entry)

    def reserve(self, reserved: Mapping[str, int]) -> None:
        """Reserves slots for a generation that has waited too long: digests and their bytes."""
        if reserved != self._reserved:
            self._reserved = reserved
            self.wake()

    # ------------------------------------------------------------ sending

    def wake(self) -> None:
        """Schedules a look at the queue, after an entry came or a slot became free."""
        # one turn of the event loop later, so that calls that arrived together share a batch
        if not self._pump_due:
            self._pump_due = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_due = False
        self.follow_engine()
        while self._queue and self._may_send():
            leased = {**self._slots.leased, **self._reserved}
            decision = decide(self._queue.entries, leased, self._limits, self._clock())
            for entry in decision.dropped:
                self._queue.leave(entry, DeadlinePassed())
            if not decision.chosen:
                return
            self._send(decision.chosen)

    def _may_send(self) -> bool:
        return not self._running or (
            len(self._running) == 1 and self._queue.num_tokens >= self._limits.ahead_tokens
        )

    def follow_engine(self) -> None:
        """A new engine's slots are empty; entries with leases on the old one fail with Stale."""
        if self._port.generation == self._generation:
            return
        self._generation = self._port.generation
        self._slots.clear()
        for entry in [
            entry for entry in self._queue.entries if entry.lease.generation != self._generation
        ]:
            self._queue.leave(entry, Stale())

    def _send(self, chosen: list[Entry]) -> None:
        sizes = {entry.digest: entry.num_bytes for entry in chosen if entry.digest}
        num_before = len(self._slots.placed)
        placement = self._slots.acquire(list(sizes), sizes)
        self._queue.remove(chosen)
        for entry in chosen:
            entry.running = True
        batch = _Batch(
            entries=chosen, placement=placement, sizes=sizes, generation=self._generation
        )
        self._running.append(batch)
        self._observer.observe_batch(
            num_rows=sum(entry.num_rows for entry in chosen),
            num_tokens=sum(entry.cost for entry in chosen),
            num_adapters=len(sizes),
            num_placed=len(placement.place),
            num_swapped=num_before + len(placement.place) - len(self._slots.placed),
        )
        loop = asyncio.get_running_loop()
        future = self._port.submit(_step(batch))
        future.add_done_callback(lambda done: _back_on(loop, self._finish, batch, done))

    # ------------------------------------------------------------ receiving

    def _finish(self, batch: _Batch, future: Future[Result]) -> None:
        self._running.remove(batch)
        try:
            result = _check_result(future.result(), batch)
        except Exception as error:  # noqa: BLE001
            # whatever failed, the entries must leave: no caller may wait for an answer that cannot
            # come
            self._return_slots(batch, failed=True)
            self._fail(batch, error if isinstance(error, EngineError) else EngineGone())
        else:
            self._return_slots(batch, failed=False)
            self._deliver(batch, result)
        self._pump()

    def _return_slots(self, batch: _Batch, *, failed: bool) -> None:
        if batch.generation != self._generation:
            return  # those slots ended with their engine
        for digest in batch.sizes:
            self._slots.release(digest)
        for digest in batch.placement.place.values() if failed else ():
            self._slots.forget(digest)  # it is unknown whether it was placed
        self.on_freed()

    def _deliver(self, batch: _Batch, result: Predicted) -> None:
        now = self._clock()
        if result.forward_s > 0:
            speed = result.num_tokens / result.forward_s
            self._queue.tokens_per_s += 0.2 * (speed - self._queue.tokens_per_s)
        start = 0
        for entry in batch.entries:
            rows = result.rows[start : start + entry.num_rows]
            start += entry.num_rows
            queue_s = max(0.0, now - entry.enqueued_at - result.forward_s)
            self._observer.observe_queue_time(queue_s)
            self._queue.leave(entry, Answer(rows=rows, queue_s=queue_s, compute_s=result.forward_s))

    def _fail(self, batch: _Batch, error: EngineError) -> None:
        """Handles a step that failed as a whole.

        An entry gets the error only if it failed alone or the engine is gone; others are retried
        in a batch of their own.
        """
        digests = {entry.digest for entry in batch.entries}
        if len(digests) == 1:  # among several digests, the cause is not known yet
            self._mark_failed(batch.entries[0].digest, error)
        final = isinstance(error, EngineGone) or len(batch.entries) == 1
        for entry in batch.entries:
            entry.running = False
            if final or entry.abandoned:
                self._queue.leave(entry, Stale() if isinstance(error, NotLoaded) else error)
            else:
                entry.alone = True
                self._queue.put_back(entry)

    def _mark_failed(self, digest: str, error: EngineError) -> None:
        if not digest:
            return  # the bare base has no file to refuse
        if isinstance(error, NotLoaded):
            self._residency.forget(digest)
        if isinstance(error, BadAdapter):
            self._residency.refuse(digest, error)


def _check_result(result: Result, batch: _Batch) -> Predicted:
    if not isinstance(result, Predicted) or len(result.rows) != sum(
        entry.num_rows for entry in batch.entries
    ):
        raise EngineError(
            f"the engine answered a Predict with {type(result).__name__}, or with another number "
            "of rows"
        )
    return result


def _step(batch: _Batch) -> Predict:
    # every slot of the batch is named, not only new ones, so that the engine can check the adapter
    # of each row; the bare base is slot 0
    slots = {"": 0, **batch.placement.slots}
    rows = [
        Row(ids=row.ids, type_ids=row.type_ids, pooling=row.pooling, slot=slots[entry.digest])
        for entry in batch.entries
        for row in entry.rows
    ]
    return Predict(rows=rows, place={slot: digest for digest, slot in slots.items() if slot})


def _back_on(
    loop: asyncio.AbstractEventLoop,
    finish: Callable[[_Batch, Future[Result]], None],
    batch: _Batch,
    future: Future[Result],
) -> None:
    # if the server was stopped at once, the event loop may be closed, and no caller waits any more
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(finish, batch, future)
