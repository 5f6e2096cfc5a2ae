"""Continuous batching: entries start when the scheduler finds slots and memory for them, and every
step extends all running sequences.
One step at a time is in flight, so other steps for the engine run between any two tokens.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence

from engine.errors import BadAdapter, EngineError, EngineGone, NotLoaded
from engine.port import EnginePort, FreeSequences, Generate, Generated, SequenceOutput
from server.dispatch.batcher import Batcher
from server.dispatch.entry import Answer, Entry
from server.dispatch.generation_budget import GenerationBudget, GenerationLimits
from server.dispatch.generation_scheduler import GenerationScheduler
from server.dispatch.leaving_rate import LeavingRate
from server.dispatch.request_queue import RequestQueue
from server.dispatch.residency import Residency
from server.dispatch.sequence import RunningSequence, reason_of
from server.dispatch.slots import SlotTable
from server.dispatch.token_budget import TokenBudget
from server.errors import DeadlinePassed, Draining, Stale
from server.observers import GenerationObserver

_log = logging.getLogger(__name__)


class GenerationLoop:
    """All methods are called on the event loop."""

    def __init__(
        self,
        *,
        port: EnginePort,
        residency: Residency,
        queue: RequestQueue,
        slots: SlotTable,
        batcher: Batcher,
        limits: GenerationLimits,
        budget: TokenBudget,
        observer: GenerationObserver,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._port, self._residency, self._queue = port, residency, queue
        self._slots, self._batcher, self._limits = slots, batcher, limits
        #: of the prompts in one forward
        self._budget, self._rate = budget, LeavingRate()
        self._observer, self._clock = observer, clock
        self._scheduler = GenerationScheduler(queue=queue, slots=slots, limits=limits, clock=clock)
        #: in order of rank
        self.sequences: list[RunningSequence] = []
        self._used_blocks, self._generation = 0, port.generation
        self._loop: asyncio.Task[None] | None = None

    @property
    def running_labels(self) -> set[str]:
        return {sequence.entry.label for sequence in self.sequences if sequence.entry.label}

    @property
    def share_held(self) -> float:
        """The share of the engine's blocks that running sequences held after the last step.

        For an engine without blocks it is the share of the token budget that they may come to use.
        """
        used, blocks = self._used_blocks if self.sequences else 0, self._limits.num_blocks
        if blocks:
            return used / blocks
        return GenerationBudget(self.sequences, self._limits, self._budget.num_tokens).share_held

    def admit(self, entries: Sequence[Entry]) -> None:
        """Queues all entries of a call or none.

        Takes over their leases; call `abandon` once nobody awaits their futures.
        """
        self._queue.admit(entries)
        if entries:
            self._budget.note_call(entries[0].tenant)
        # a slot that an entry got with a lease on an older engine would never be released
        self._fail_stale(entries)
        if self._loop is None or self._loop.done():
            self._loop = asyncio.get_running_loop().create_task(self._run())

    def abandon(self, entries: Sequence[Entry]) -> None:
        """Stops generating for a caller who has left or needs no more tokens."""
        for entry in entries:
            self._queue.abandon(entry)

    def cut(self, entries: Sequence[Entry]) -> bool:
        """Ends the sequences with what they have generated so far.

        Returns False and changes nothing if one of them has no token yet.
        """
        now, sequences = (
            self._clock(),
            {sequence.entry: sequence for sequence in self.sequences if sequence.ids},
        )
        late = [entry for entry in entries if not entry.future.done()]
        if not all(entry in sequences for entry in late):
            return False
        for entry in late:
            sequences[entry].deliver(sequences[entry].answer(now, cut=True))
        return True

    def close(self) -> None:
        """Stops now; waiting and running entries fail with Draining."""
        self._queue.close()
        if self._loop is not None:
            self._loop.cancel()
        for sequence in list(self.sequences):
            self._end(sequence, Draining())

    async def _run(self) -> None:
        # one turn of the event loop later, so that calls that arrived together start together
        await asyncio.sleep(0)
        try:
            while self._queue or self.sequences:
                await self._advance()
        except Exception:  # noqa: BLE001
            # nothing else ends these entries, and they would hang until their deadlines
            _log.exception("the generation loop failed", extra={"action": "writer.failed"})
            self._give_up()

    async def _advance(self) -> None:
        self._follow_engine()
        self._drop_expired()
        new, expired = self._scheduler.schedule(self.sequences, self._budget.num_tokens)
        for entry in expired:
            self._queue.leave(entry, DeadlinePassed())
        self._observe_leaving(new)
        self.sequences += new
        # if nothing runs, no slot is leased, and the first that is not expired starts
        assert self.sequences or expired or not self._queue
        if self.sequences:
            await self._generate(new)

    def _observe_leaving(self, new: Sequence[RunningSequence]) -> None:
        num_tokens = sum(sequence.entry.cost for sequence in new)
        self._rate.observe(num_tokens, self._clock(), others_wait=bool(self._queue))
        self._queue.tokens_per_s = self._rate.tokens_per_s

    # ------------------------------------------------------------ generating

    async def _generate(self, new: Sequence[RunningSequence]) -> None:
        """If a step fails as a whole, the sequences that it was to start are started one by one."""
        self.sequences = self._scheduler.rank(self.sequences)
        new_set = set(new)
        running = [sequence for sequence in self.sequences if sequence not in new_set]
        if (error := await self._step(running, new)) is None:
            return
        if isinstance(error, EngineGone) or (len(new) == 1 and not running) or not new:
            self._fail([*running, *new], error)
            return
        for sequence in new:
            if (retry_error := await self._step([], [sequence])) is not None:
                self._fail([sequence], retry_error)

    async def _step(
        self, running: Sequence[RunningSequence], new: Sequence[RunningSequence]
    ) -> EngineError | None:
        step = Generate(
            begin=[sequence.begin() for sequence in new],
            keys=[sequence.key for sequence in running],
            place={sequence.slot: sequence.entry.digest for sequence in new if sequence.slot},
            max_tokens=self._budget.num_tokens,
        )
        try:
            decoded = await self._submit(step)
        except EngineError as error:
            # the running ones are released only if no new one can be the cause
            self._release([sequence.key for sequence in new or running])
            return error
        now, stopped = self._clock(), list[int]()
        self._used_blocks = decoded.used_blocks
        if decoded.num_tokens > len(decoded.rows):  # prompts: a row alone decodes slower than many
            self._budget.observe(decoded.num_tokens, decoded.forward_s)
        for sequence, result in zip([*running, *new], decoded.rows, strict=True):
            if sequence.add_output(result):
                stopped.append(sequence.key)
            sequence.report(self._observer, result, now)
            if isinstance(result, SequenceOutput):
                self._queue.charge(sequence.entry, len(result.ids))
        self._release(stopped)
        self._observe(decoded, new)
        for sequence in (*running, *new):
            if sequence.is_over:
                self._end(sequence, sequence.answer(now))
        return None

    async def _submit(self, step: Generate) -> Generated:
        try:
            result = await asyncio.wrap_future(self._port.submit(step))
        except EngineError:
            raise
        except (
            Exception
        ) as error:  # whatever it is, no caller may wait for an answer that cannot come
            raise EngineGone from error
        if not isinstance(result, Generated):
            raise EngineError(f"the engine answered a Generate with {result!r:.80}")
        return result

    # ------------------------------------------------------------ ending

    def _fail(self, sequences: Sequence[RunningSequence], error: EngineError) -> None:
        for sequence in sequences:
            if isinstance(error, NotLoaded):
                self._residency.forget(sequence.entry.digest)
            if isinstance(error, BadAdapter) and len(sequences) == 1:
                self._residency.refuse(sequence.entry.digest, error)
            self._end(sequence, Stale() if isinstance(error, NotLoaded) else error)

    def _end(self, sequence: RunningSequence, outcome: Answer | Exception | None) -> None:
        self.sequences.remove(sequence)
        if isinstance(outcome, Answer):
            sequence.deliver(outcome)
        try:
            generation = sequence.entry.lease.generation
            if sequence.slot and generation == self._generation == self._port.generation:
                self._slots.release(sequence.entry.digest)
        finally:
            self._queue.leave(sequence.entry, outcome)
            self._observer.observe_finish(reason=reason_of(outcome))
            self._batcher.wake()

    def _give_up(self) -> None:
        sequences = list(self.sequences)
        for sequence in sequences:
            with contextlib.suppress(Exception):  # the bookkeeping itself may be what failed
                self._end(sequence, EngineGone())
        for entry in self._queue.entries:
            self._queue.leave(entry, EngineGone())
        self._release([sequence.key for sequence in sequences])

    def _drop_expired(self) -> None:
        """Ends sequences whose caller has left or whose deadline has passed."""
        now = self._clock()
        expired = [s for s in self.sequences if s.entry.future.done() or s.entry.is_late(now)]
        self._release([sequence.key for sequence in expired])
        for sequence in expired:
            late = DeadlinePassed() if not sequence.ids else sequence.answer(now, cut=True)
            self._end(sequence, None if sequence.entry.abandoned else late)

    def _release(self, keys: Sequence[int]) -> None:
        # the result is not awaited: an engine that died holds no rows, and steps run in order
        if keys:
            self._port.submit(FreeSequences(keys=list(keys)))

    def _observe(self, decoded: Generated, new: Sequence[RunningSequence]) -> None:
        self._observer.observe_batch(
            num_rows=len(decoded.rows),
            num_tokens=decoded.num_tokens,
            num_adapters=decoded.num_adapters,
            num_placed=sum(sequence.num_placed for sequence in new),
            num_swapped=sum(sequence.num_swapped for sequence in new),
        )
        for sequence in new:
            self._observer.observe_queue_time(sequence.queue_s)

    def _follow_engine(self) -> None:
        """A new engine holds no rows; entries with leases on the old one fail with Stale."""
        if self._port.generation == self._generation:
            return
        self._batcher.follow_engine()
        self._generation = self._port.generation
        for sequence in [*self.sequences]:
            self._end(sequence, EngineGone())
        self._fail_stale(self._queue.entries)

    def _fail_stale(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry.lease.generation != self._port.generation:
                self._queue.leave(entry, Stale())
