"""Connects asyncio with the engine's port: admits entries, sends batches, resolves futures,
releases leases. `batch_scheduler` decides which entries go together.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from engine.errors import BadAdapter, EngineError, EngineGone, NotLoaded
from engine.port import EnginePort, Predict, Predicted, Result, Row
from server.dispatch.batch_scheduler import BatchLimits, decide
from server.dispatch.entry import Answer, Entry
from server.dispatch.request_queue import RequestQueue
from server.dispatch.residency import Residency
from server.dispatch.slots import Placement, SlotTable
from server.dispatch.token_budget import TokenBudget
from server.errors import DeadlinePassed, Stale
from server.observers import BatchObserver

_log = logging.getLogger(__name__)

#: how long before the running batch is expected to end the next one is sent: enough for the way to
#: the engine, and no longer, since who comes after it was sent waits for it, too
_AHEAD_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Batch:
    entries: list[Entry]
    placement: Placement
    num_tokens: int


class Batcher:
    """At most one batch running and, shortly before it ends, one sent ahead. All methods are called
    on the event loop.
    """

    def __init__(
        self,
        *,
        port: EnginePort,
        residency: Residency,
        queue: RequestQueue,
        slots: SlotTable,
        limits: BatchLimits,
        budget: TokenBudget,
        ahead_tokens: int | None,
        observer: BatchObserver,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ahead_tokens` must wait for a batch to be sent while another one is still running; None:
        a quarter of a batch.
        """
        self._port = port
        self._residency = residency
        self._queue = queue
        self._slots = slots
        self._limits, self._budget, self._ahead_tokens = limits, budget, ahead_tokens
        self._observer = observer
        self._clock = clock
        self._generation = port.generation
        self._running: list[_Batch] = []
        #: since when the first of them runs, as far as is known here
        self._began_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._pump_due = False
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
            if entries:
                self._budget.note_call(entries[0].tenant)
            self.wake()
            return [await entry.future for entry in entries]
        finally:
            for entry in entries:
                self._queue.abandon(entry)

    # ------------------------------------------------------------ sending

    def wake(self) -> None:
        """Schedules a look at the queue, after an entry came or a slot became free."""
        # one turn of the event loop later, so that calls that arrived together share a batch
        if not self._pump_due:
            self._pump_due = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_due = False
        try:
            self._send_due()
        except Exception:  # noqa: BLE001
            # nothing else answers these entries, and they would hang until their deadlines
            _log.exception("no batch can be chosen", extra={"action": "batcher.failed"})
            for entry in self._queue.entries:
                self._queue.leave(entry, EngineGone())

    def _send_due(self) -> None:
        self.follow_engine()
        while self._queue and self._may_send():
            now = self._clock()
            limits = replace(self._limits, max_tokens=self._budget.num_tokens)
            decision = decide(self._queue.in_turn(now), self._slots.leased, limits, now)
            for entry in decision.dropped:
                self._queue.leave(entry, DeadlinePassed())
            if not decision.chosen:
                return
            self._send(decision.chosen)
        self._wait_to_send()

    def _may_send(self) -> bool:
        return not self._running or (self._may_send_ahead() and self._running_s <= _AHEAD_S)

    def _may_send_ahead(self) -> bool:
        """One batch ahead, if enough waits for it."""
        ahead_tokens = self._ahead_tokens or self._budget.num_tokens // 4
        return len(self._running) == 1 and self._queue.num_tokens >= ahead_tokens

    @property
    def _running_s(self) -> float:
        """How long the running batch is expected to run on, at the measured speed."""
        expected_s = self._running[0].num_tokens / self._budget.tokens_per_s
        return self._began_at + expected_s - self._clock()

    def _wait_to_send(self) -> None:
        """Looks again when the next batch may be sent ahead."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._may_send_ahead() and (delay_s := self._running_s - _AHEAD_S) > 0:
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._pump)

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
        placement = self._slots.place(sizes)
        num_tokens = sum(entry.cost for entry in chosen)
        batch = _Batch(entries=chosen, placement=placement, num_tokens=num_tokens)
        self._queue.take(chosen)
        for entry in chosen:
            entry.running = True
        loop = asyncio.get_running_loop()
        try:
            self._observer.observe_batch(
                num_rows=sum(entry.num_rows for entry in chosen),
                num_tokens=num_tokens,
                num_adapters=len(sizes),
                num_placed=len(placement.placed),
                num_swapped=placement.num_swapped,
            )
            future = self._port.submit(_step(batch))
        except Exception as error:  # noqa: BLE001
            self._fail_for_any(batch, error)
            return
        if not self._running:
            self._began_at = self._clock()
        self._running.append(batch)
        future.add_done_callback(lambda done: _back_on(loop, self._finish, batch, done))

    # ------------------------------------------------------------ receiving

    def _finish(self, batch: _Batch, future: Future[Result]) -> None:
        self._running.remove(batch)
        self._began_at = self._clock()
        try:
            self._deliver(batch, _check_result(future.result(), batch))
        except Exception as error:  # noqa: BLE001
            self._fail_for_any(batch, error)
        self._pump()

    def _fail_for_any(self, batch: _Batch, error: Exception) -> None:
        """Whatever failed, the entries must leave: no caller may wait for an answer that cannot
        come.
        """
        if isinstance(error, EngineError):
            self._fail(batch, error)
            return
        _log.error("a batch failed", exc_info=error, extra={"action": "batcher.failed"})
        self._fail(batch, EngineGone())

    def _deliver(self, batch: _Batch, result: Predicted) -> None:
        now = self._clock()
        self._budget.observe(result.num_tokens, result.forward_s)
        self._queue.tokens_per_s = self._budget.tokens_per_s
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
        for digest in batch.placement.placed:
            self._slots.forget(digest)  # it is unknown whether it was placed
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
    # every slot of the batch is named, not only new ones: by the time the step runs, another may
    # have used it, and the engine places what differs; the bare base is slot 0
    slots = {"": 0, **batch.placement.slots}
    rows = [
        Row.of(ids=row.ids, type_ids=row.type_ids, pooling=row.pooling, slot=slots[entry.digest])
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
