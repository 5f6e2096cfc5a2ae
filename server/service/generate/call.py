"""One call whose rows write: begun together, read piece by piece or whole, and gone with its
caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from functools import partial
from typing import TypeVar

from server.dispatch.entry import Answer, Entry
from server.dispatch.generation_loop import GenerationLoop
from server.errors import DeadlinePassed, Stale
from server.service.completion import CompletionChunk
from server.service.generate.entries import GenerationEntries
from server.service.generate.output import OutputProcessor

T = TypeVar("T")
_Event = CompletionChunk | tuple[int, "asyncio.Future[Answer]"]


class GenerationCall:
    """`start` it, then read `pieces` or `texts`; `close` it, whatever happens."""

    def __init__(
        self,
        *,
        writer: GenerationLoop,
        rows: GenerationEntries,
        deadline: float,
        streams: bool,
    ) -> None:
        self._writer, self._rows = writer, rows
        self._deadline, self._streams = deadline, streams
        self._scripts: list[OutputProcessor] = []
        self._entries: list[Entry] = []
        self._events: asyncio.Queue[_Event] = asyncio.Queue()
        self._may_try_again = True
        #: what became of each row, where its time went
        self.answers: dict[int, Answer] = {}

    async def start(self) -> None:
        """The rows wait for their turn. Raises what refuses the call as a whole."""
        self._events = asyncio.Queue()
        self._scripts = self._rows.scripts(self._events.put_nowait if self._streams else None)
        self._entries = await self._rows.entries(self._scripts)
        try:
            self._writer.admit(self._entries)
        except BaseException:
            self.close()
            raise
        for row, entry in enumerate(self._entries):
            entry.future.add_done_callback(partial(_tell, self._events, row))

    async def pieces(self) -> AsyncGenerator[CompletionChunk, None]:
        """What the rows write, as it comes; closing it early takes the rows along."""
        try:
            left = len(self._scripts)
            while left:
                event = await self._next()
                if isinstance(event, CompletionChunk):
                    piece = event
                else:
                    row, future = event
                    if await self._began_again(future.exception()):
                        left = len(self._scripts)
                        continue
                    self.answers[row] = future.result()
                    piece = self._scripts[row].last(future.result())
                    left -= 1
                self._may_try_again &= not self._streams
                yield piece
        finally:
            self.close()

    async def texts(self) -> list[CompletionChunk]:
        """Each row's whole text, in order."""
        whole = {piece.row: piece async for piece in self.pieces()}
        return [whole[row] for row in sorted(whole)]

    def close(self) -> None:
        """What still writes stops within a step."""
        self._writer.abandon(self._entries)

    async def _next(self) -> _Event:
        """At the deadline, what the rows have written is what they end with."""
        try:
            if self._events.empty():
                return await self._in_time(self._events.get())
        except DeadlinePassed:
            if not self._writer.cut(self._entries):
                raise
        return await self._events.get()

    async def _began_again(self, error: BaseException | None) -> bool:
        """Where the engine was replaced before it saw the rows, they lose nothing by it."""
        if not isinstance(error, Stale) or not self._may_try_again:
            return False
        self.close()
        await self._in_time(self.start())
        self._may_try_again = False
        return True

    async def _in_time(self, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout_at(self._deadline):
                return await work
        except TimeoutError:
            raise DeadlinePassed from None


def _tell(events: asyncio.Queue[_Event], row: int, future: asyncio.Future[Answer]) -> None:
    if not future.cancelled():
        events.put_nowait((row, future))
