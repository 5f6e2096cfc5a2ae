"""Rows that write text: begun when slots allow, decoded together, with other steps in between.

One engine step at a time is under way, so whatever else waits for the engine comes to its turn
between any two tokens.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Sequence

from engine.errors import BadAdapter, EngineError, EngineGone, NotLoaded
from engine.port import Decode, Decoded, EnginePort, Release, Row, Start, Step
from engine.slots import SlotTable
from server.dispatch.batcher import BatchObserver
from server.dispatch.entry import Answer, Entry
from server.dispatch.residency import Residency
from server.dispatch.text import Text, WriterLimits
from server.dispatch.turn import Turn
from server.dispatch.waiting_room import WaitingRoom
from server.errors import DeadlinePassed, Draining, Stale

_log = logging.getLogger(__name__)


class Writer:
    """All methods are called on the event loop."""

    def __init__(
        self,
        *,
        port: EnginePort,
        residency: Residency,
        room: WaitingRoom,
        slots: SlotTable,
        limits: WriterLimits,
        observer: BatchObserver,
        follow_engine: Callable[[], None],
        freed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._port, self._residency, self._room = port, residency, room
        self._slots, self._limits, self._observer = slots, limits, observer
        self._slots_follow_engine, self._freed, self._clock = follow_engine, freed, clock
        self._texts: list[Text] = []
        self._keys, self._generation = itertools.count(1), port.generation
        self._loop: asyncio.Task[None] | None = None

    @property
    def running_labels(self) -> set[str]:
        return {text.entry.label for text in self._texts}

    async def run(self, entries: Sequence[Entry]) -> list[Answer]:
        """The answers of one call's entries, each with what its rows wrote.

        Takes over their leases; a caller who hangs up takes its rows along.
        """
        try:
            self._room.admit(entries)
            if self._loop is None or self._loop.done():
                self._loop = asyncio.get_running_loop().create_task(self._write())
            return [await entry.future for entry in entries]
        finally:
            for entry in entries:
                self._room.abandon(entry)

    def close(self) -> None:
        """Stop now: who waits or writes is told that the server is draining."""
        self._room.close()
        if self._loop is not None:
            self._loop.cancel()
        for text in list(self._texts):
            self._end(text, Draining())

    async def _write(self) -> None:
        # one turn of the loop later, so that calls that arrived together begin together
        await asyncio.sleep(0)
        try:
            while self._room or self._texts:
                await self._turn()
        except Exception:  # noqa: BLE001
            # nobody else would ever end these: they would hang until their deadlines
            _log.exception("the writer failed", extra={"action": "writer.failed"})
            self._give_up()

    async def _turn(self) -> None:
        self._follow_engine()
        self._drop_abandoned()
        if chosen := self._choose():
            await self._begin(chosen)
        if self._texts:
            await self._decode()
        elif self._room and not chosen:  # batches hold every slot; they are short
            await asyncio.sleep(0.005)

    # ------------------------------------------------------------ beginning

    def _choose(self) -> list[Entry]:
        """What may begin now, in order of arrival."""
        turn = Turn(self._texts, self._limits)
        for entry in list(self._room.entries):
            if entry.abandoned or (entry.deadline or float("inf")) <= self._clock():
                self._room.leave(entry, DeadlinePassed())
                continue
            fits = self._slots.fits([entry.digest], {entry.digest: entry.num_bytes})
            if not (fits and turn.has_room(entry)):
                break
            turn.add(entry)
        return turn.chosen

    async def _begin(self, chosen: Sequence[Entry]) -> None:
        """Entries of a step that fails as a whole are begun one by one."""
        texts = [text for entry in chosen if (text := self._placed(entry)) is not None]
        if not texts or (error := await self._started(texts)) is None:
            return
        if isinstance(error, EngineGone) or len(texts) == 1:
            self._fail(texts, error)
            return
        for text in texts:
            if (own := await self._started([text])) is not None:
                self._fail([text], own)

    async def _started(self, texts: Sequence[Text]) -> EngineError | None:
        rows = [(next(self._keys), text, row) for text in texts for row in text.entry.rows]
        step = Start(
            rows=[Row(ids=row.ids, slot=text.slot) for _, text, row in rows],
            keys=[key for key, _, _ in rows],
            max_tokens=[text.entry.max_tokens for _, text, _ in rows],
            place={text.slot: text.entry.digest for text in texts},
        )
        try:
            decoded = await self._ask(step)
        except EngineError as error:
            self._release([key for key, _, _ in rows])
            return error
        for (key, text, _), result in zip(rows, decoded.rows, strict=True):
            text.take(key, result)
        self._observe(decoded, len(rows), texts)
        self._deliver(texts)
        return None

    def _placed(self, entry: Entry) -> Text | None:
        """The entry with a slot, or none: an earlier one of this turn took the last."""
        sizes = {entry.digest: entry.num_bytes}
        if not self._slots.fits([entry.digest], sizes):
            return None
        before, now = len(self._slots.placed), self._clock()
        placement = self._slots.acquire([entry.digest], sizes)
        swapped = before + len(placement.place) - len(self._slots.placed)
        self._room.take([entry])
        entry.running = True
        text = Text(entry=entry, placement=placement, num_swapped=swapped, began_at=now)
        self._texts.append(text)
        return text

    # ------------------------------------------------------------ writing on

    async def _decode(self) -> None:
        going = {key: text for text in self._texts for key in text.going}
        texts = list(dict.fromkeys(going.values()))
        try:
            decoded = await self._ask(Decode(keys=list(going)))
        except EngineError as error:
            self._release(list(going))
            self._fail(texts, error)
            return
        for (key, text), result in zip(going.items(), decoded.rows, strict=True):
            text.take(key, result)
        self._observe(decoded, len(going))
        self._deliver(texts)

    async def _ask(self, step: Step) -> Decoded:
        try:
            result = await asyncio.wrap_future(self._port.submit(step))
        except EngineError:
            raise
        except Exception as error:  # whatever it was: nothing may wait for what cannot come
            raise EngineGone from error
        if not isinstance(result, Decoded):
            raise EngineError(f"the engine answered a {type(step).__name__} with {result!r:.80}")
        return result

    # ------------------------------------------------------------ ending

    def _deliver(self, texts: Sequence[Text]) -> None:
        for text in texts:
            if not text.going:
                self._end(text, text.answer(self._clock()))

    def _fail(self, texts: Sequence[Text], error: EngineError) -> None:
        for text in texts:
            if isinstance(error, NotLoaded):
                self._residency.forget(text.entry.digest)
            if isinstance(error, BadAdapter) and len(texts) == 1:
                self._residency.refuse(text.entry.digest, error)
            self._end(text, Stale() if isinstance(error, NotLoaded) else error)

    def _end(self, text: Text, outcome: Answer | Exception | None) -> None:
        self._texts.remove(text)
        try:
            if text.entry.lease.generation == self._generation == self._port.generation:
                self._slots.release(text.entry.digest)
        finally:
            self._room.leave(text.entry, outcome)
            self._freed()

    def _give_up(self) -> None:
        texts = list(self._texts)
        for text in texts:
            with contextlib.suppress(Exception):  # the books may be what is wrong
                self._end(text, EngineGone())
        for entry in list(self._room.entries):
            self._room.leave(entry, EngineGone())
        self._release([key for text in texts for key in text.going])

    def _drop_abandoned(self) -> None:
        gone = [text for text in self._texts if text.entry.abandoned]
        self._release([key for text in gone for key in text.going])
        for text in gone:
            self._end(text, None)

    def _release(self, keys: Sequence[int]) -> None:
        # nobody waits for it: an engine that died holds no rows, and steps run in order
        if keys:
            self._port.submit(Release(keys=list(keys)))

    def _follow_engine(self) -> None:
        """A fresh engine holds no rows. Who waits learns that its weights must be loaded again."""
        if self._port.generation == self._generation:
            return
        self._slots_follow_engine()
        self._generation = self._port.generation
        for text in list(self._texts):
            self._end(text, EngineGone())
        for entry in list(self._room.entries):
            if entry.lease.generation != self._generation:
                self._room.leave(entry, Stale())

    def _observe(self, decoded: Decoded, num_rows: int, begun: Sequence[Text] = ()) -> None:
        self._observer.batch(
            num_rows=num_rows, num_tokens=decoded.num_tokens, num_adapters=decoded.num_adapters,
            num_placed=sum(text.num_placed for text in begun),
            num_swapped=sum(text.num_swapped for text in begun),
        )  # fmt: skip
        for text in begun:
            self._observer.queued(text.queue_s)
