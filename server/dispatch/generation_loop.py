"""Rows that write text: each begins when there is room for it and leaves when it ends, and all of
them go on by one token together, with other steps in between.

One step at a time is under way, so whatever else waits for the engine comes to its turn between
any two tokens.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence

from engine.errors import BadAdapter, EngineError, EngineGone, NotLoaded
from engine.port import EnginePort, FreeSequences, Generate, Generated
from server.dispatch.batcher import Batcher
from server.dispatch.entry import Answer, Entry
from server.dispatch.generation_scheduler import (
    GenerationBudget,
    GenerationLimits,
    GenerationScheduler,
)
from server.dispatch.request_queue import RequestQueue
from server.dispatch.residency import Residency
from server.dispatch.sequence import RunningSequence, reason_of
from server.dispatch.slots import SlotTable
from server.errors import DeadlinePassed, Draining, Stale
from server.observers import GenerationObserver

_log = logging.getLogger(__name__)
#: how long a text that waits for a slot sleeps at most; it is woken when one is free
_SLEEP_S = 0.05


class GenerationLoop:
    """All methods are called on the event loop."""

    def __init__(
        self,
        *,
        port: EnginePort,
        residency: Residency,
        room: RequestQueue,
        slots: SlotTable,
        batcher: Batcher,
        limits: GenerationLimits,
        observer: GenerationObserver,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._port, self._residency, self._room = port, residency, room
        self._slots, self._batcher, self._limits = slots, batcher, limits
        self._observer, self._clock = observer, clock
        self._seating = GenerationScheduler(
            room=room, slots=slots, limits=limits, reserve=batcher.reserve, clock=clock
        )
        #: in order of rank
        self.texts: list[RunningSequence] = []
        self._used_blocks, self._generation = 0, port.generation
        self._loop: asyncio.Task[None] | None = None
        self._stirred = asyncio.Event()
        batcher.on_freed = self._stirred.set

    @property
    def running_labels(self) -> set[str]:
        return {text.entry.label for text in self.texts if text.entry.label}

    @property
    def share_held(self) -> float:
        """Of the engine's blocks what running texts held last; without any what they may need."""
        used, blocks = self._used_blocks if self.texts else 0, self._limits.num_blocks
        return used / blocks if blocks else GenerationBudget(self.texts, self._limits).share_held

    def admit(self, entries: Sequence[Entry]) -> None:
        """All of a call or nothing.

        Takes over their leases; `abandon` them when nobody waits for their futures any more.
        """
        self._room.admit(entries)
        self._stirred.set()
        if self._loop is None or self._loop.done():
            self._loop = asyncio.get_running_loop().create_task(self._run())

    def abandon(self, entries: Sequence[Entry]) -> None:
        """Whoever asked has gone, or has what was asked for: what still writes stops."""
        for entry in entries:
            self._room.abandon(entry)

    def cut(self, entries: Sequence[Entry]) -> bool:
        """Ends them with what they wrote by now. False, and nothing, where one wrote none."""
        now, texts = self._clock(), {text.entry: text for text in self.texts if text.ids}
        late = [entry for entry in entries if not entry.future.done()]
        if not all(entry in texts for entry in late):
            return False
        for entry in late:
            texts[entry].deliver(texts[entry].answer(now, cut=True))
        return True

    def close(self) -> None:
        """Stop now: who waits or writes is told that the server is draining."""
        self._room.close()
        if self._loop is not None:
            self._loop.cancel()
        for text in list(self.texts):
            self._end(text, Draining())

    async def _run(self) -> None:
        # one turn of the loop later, so that calls that arrived together begin together
        await asyncio.sleep(0)
        try:
            while self._room or self.texts:
                await self._turn()
            self._batcher.reserve({})
        except Exception:  # noqa: BLE001
            # nobody else would ever end these: they would hang until their deadlines
            _log.exception("the writer failed", extra={"action": "writer.failed"})
            self._give_up()

    async def _turn(self) -> None:
        self._follow_engine()
        self._drop_dead()
        begun = self._seating.begin(self.texts)
        self.texts += begun
        if self.texts:
            await self._write(begun)
        elif self._room:  # batches hold every slot; they are short
            self._stirred.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stirred.wait(), _SLEEP_S)

    # ------------------------------------------------------------ writing

    async def _write(self, begun: Sequence[RunningSequence]) -> None:
        """Where a step fails as a whole, the texts that began in it are begun one by one."""
        self.texts.sort(key=lambda text: self._seating.rank(text.entry))
        news = set(begun)
        going = [text for text in self.texts if text not in news]
        if (error := await self._step(going, begun)) is None:
            return
        if isinstance(error, EngineGone) or (len(begun) == 1 and not going) or not begun:
            self._fail([*going, *begun], error)
            return
        for text in begun:
            if (own := await self._step([], [text])) is not None:
                self._fail([text], own)

    async def _step(
        self, going: Sequence[RunningSequence], begun: Sequence[RunningSequence]
    ) -> EngineError | None:
        step = Generate(
            begin=[text.begin() for text in begun],
            keys=[text.key for text in going],
            place={text.slot: text.entry.digest for text in begun if text.slot},
            max_tokens=self._limits.max_tokens,
        )
        try:
            decoded = await self._ask(step)
        except EngineError as error:
            # all of them if there is nobody else to blame, or only those that are tried again
            self._release([text.key for text in begun or going])
            return error
        now, stopped = self._clock(), list[int]()
        self._used_blocks = decoded.used_blocks
        for text, result in zip([*going, *begun], decoded.rows, strict=True):
            if text.take(result):
                stopped.append(text.key)
            text.tell(self._observer, result, now)
        self._release(stopped)
        self._observe(decoded, begun)
        for text in (*going, *begun):
            if text.is_over:
                self._end(text, text.answer(now))
        return None

    async def _ask(self, step: Generate) -> Generated:
        try:
            result = await asyncio.wrap_future(self._port.submit(step))
        except EngineError:
            raise
        except Exception as error:  # whatever it was: nothing may wait for what cannot come
            raise EngineGone from error
        if not isinstance(result, Generated):
            raise EngineError(f"the engine answered a Generate with {result!r:.80}")
        return result

    # ------------------------------------------------------------ ending

    def _fail(self, texts: Sequence[RunningSequence], error: EngineError) -> None:
        for text in texts:
            if isinstance(error, NotLoaded):
                self._residency.forget(text.entry.digest)
            if isinstance(error, BadAdapter) and len(texts) == 1:
                self._residency.refuse(text.entry.digest, error)
            self._end(text, Stale() if isinstance(error, NotLoaded) else error)

    def _end(self, text: RunningSequence, outcome: Answer | Exception | None) -> None:
        self.texts.remove(text)
        if isinstance(outcome, Answer):
            text.deliver(outcome)
        try:
            generation = text.entry.lease.generation
            if text.slot and generation == self._generation == self._port.generation:
                self._slots.release(text.entry.digest)
        finally:
            self._room.leave(text.entry, outcome)
            self._observer.ended(reason=reason_of(outcome))
            self._batcher.wake()

    def _give_up(self) -> None:
        texts = list(self.texts)
        for text in texts:
            with contextlib.suppress(Exception):  # the books may be what is wrong
                self._end(text, EngineGone())
        for entry in list(self._room.entries):
            self._room.leave(entry, EngineGone())
        self._release([text.key for text in texts])

    def _drop_dead(self) -> None:
        """Frees the blocks and slots of texts that nobody waits for or whose time is over."""
        now = self._clock()
        dead = [t for t in self.texts if t.entry.future.done() or t.entry.is_late(now)]
        self._release([text.key for text in dead])
        for text in dead:
            late = DeadlinePassed() if not text.ids else text.answer(now, cut=True)
            self._end(text, None if text.entry.abandoned else late)
        for entry in list(self._room.entries):
            if entry.abandoned or entry.is_late(now):
                self._room.leave(entry, DeadlinePassed())

    def _release(self, keys: Sequence[int]) -> None:
        # nobody waits for it: an engine that died holds no rows, and steps run in order
        if keys:
            self._port.submit(FreeSequences(keys=list(keys)))

    def _observe(self, decoded: Generated, begun: Sequence[RunningSequence]) -> None:
        self._observer.batch(
            num_rows=len(decoded.rows), num_tokens=decoded.num_tokens,
            num_adapters=decoded.num_adapters,
            num_placed=sum(text.num_placed for text in begun),
            num_swapped=sum(text.num_swapped for text in begun),
        )  # fmt: skip
        for text in begun:
            self._observer.queued(text.queue_s)

    def _follow_engine(self) -> None:
        """A fresh engine holds no rows. Who waits learns that its weights must be loaded again."""
        if self._port.generation == self._generation:
            return
        self._batcher.follow_engine()
        self._generation = self._port.generation
        for text in [*self.texts]:
            self._end(text, EngineGone())
        for entry in list(self._room.entries):
            if entry.lease.generation != self._generation:
                self._room.leave(entry, Stale())
