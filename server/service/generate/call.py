"""One generation call: queues its sequences together, yields chunks or whole completions, and stops
the sequences if the caller disconnects.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from msgspec import structs

from adapters_registry.values import Version
from engine.port import Sampling
from engine.text.tokenizer import Tokenizer
from server.dispatch.entry import Answer, Entry, RowTokens
from server.dispatch.generation_loop import GenerationLoop
from server.errors import DeadlinePassed, Stale
from server.service.completion import CompletionChunk
from server.service.entries import EntryFactory, retry_once_if_stale
from server.service.generate.completion_processor import CompletionProcessor
from server.service.generate.detokenizer import TokenTexts
from server.service.inputs.tokenization import TextRow
from server.service.requests import GenerationRequest
from server.service.resolved_model import ResolvedModel
from server.service.task_timer import TaskTimer
from server.service.values import RowError

_MIN_SEED, _NUM_SEEDS = -(2**63), 2**64
_Event = CompletionChunk | BaseException


class GenerationCall:
    """`admit` it, then read `chunks` or `completions`. As a context it stops its sequences, and
    its timer, at the end.

    `rows` are the inputs that became prompts: sequence `i` completes row `i // num_texts`. `errors`
    are those of the other inputs, by position.
    """

    def __init__(
        self,
        *,
        request: GenerationRequest,
        model: ResolvedModel,
        rows: Sequence[TextRow],
        errors: Mapping[int, RowError],
        parts: Sequence[tuple[Version, float]],
        sampling: Sampling,
        deadline: float,
        tokenized_at: float,
        loop: GenerationLoop,
        entries: EntryFactory,
        tokenizer: Tokenizer,
        texts: TokenTexts,
        timer: TaskTimer | None = None,
    ) -> None:
        self.model, self.rows, self.errors, self.parts = model, rows, errors, parts
        self.tokenized_at = tokenized_at
        self._request, self._sampling, self._deadline = request, sampling, deadline
        self._loop, self._entry_factory = loop, entries
        self._tokenizer, self._texts, self._timer = tokenizer, texts, timer
        self._prompts = [row.encoding.ids for row in rows for _ in range(request.num_texts)]
        self._entries: list[Entry] = []
        self._events: asyncio.Queue[_Event] = asyncio.Queue()

    @property
    def answers(self) -> list[Answer]:
        """The result of each sequence, once its completion was read."""
        return [entry.future.result() for entry in self._entries]

    async def admit(self) -> None:
        """Queues the sequences, unless they are queued. Raises an error of the whole call."""
        if self._entries or not self._prompts:
            return
        self._events = asyncio.Queue()
        chunks = [[RowTokens(ids, [0] * len(ids))] for ids in self._prompts]
        try:
            async with asyncio.timeout_at(self._deadline):
                entries = await self._entry_factory.make(
                    self._request, self.model, self.parts, self._deadline, chunks
                )
        except TimeoutError:
            raise DeadlinePassed from None
        for row, entry in enumerate(entries):
            self._prepare(row, entry)
        self._entries = entries
        try:
            self._loop.admit(entries)
        except BaseException:
            self._abandon()
            raise

    async def chunks(self) -> AsyncGenerator[CompletionChunk, None]:
        """Completions as they are generated; closing it early stops the sequences."""
        num_left = len(self._prompts)
        try:
            if num_left:
                chunk = await retry_once_if_stale(self._first)
                num_left -= chunk.is_last
                yield chunk
            while num_left:
                chunk = await self._next()
                num_left -= chunk.is_last
                yield chunk
        finally:
            self._abandon()

    async def completions(self) -> list[CompletionChunk]:
        """The whole completion of each sequence, in order."""
        try:
            return await retry_once_if_stale(self._collect)
        finally:
            self._abandon()

    def close(self, error: BaseException | None = None) -> None:
        """Stops running sequences within a step. Without an `error`, a call that has not ended
        counts as cancelled.
        """
        self._end(error or asyncio.CancelledError())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        self._abandon()
        if self._timer is not None:
            self._timer.end(error)

    def _abandon(self) -> None:
        self._loop.abandon(self._entries)

    # ------------------------------------------------------------ sequences

    def _prepare(self, row: int, entry: Entry) -> None:
        """Sets the fields of an entry that generates."""
        request, most = self._request, self.model.head["max_tokens"]
        seed = (self._sampling.seed + row % request.num_texts - _MIN_SEED) % _NUM_SEEDS + _MIN_SEED
        entry.max_tokens = min(request.parameters.max_tokens or most, most)
        entry.sampling = structs.replace(self._sampling, seed=seed)
        entry.output = CompletionProcessor(
            row=row,
            num_prompt_tokens=entry.cost,
            tokenizer=self._tokenizer,
            texts=self._texts,
            stop=request.sampling_params.stop,
            streams=request.streams,
            send=self._events.put_nowait,
        )
        entry.future.add_done_callback(partial(_send_error, self._events))

    async def _first(self) -> CompletionChunk:
        await self.admit()
        return await self._next()

    async def _collect(self) -> list[CompletionChunk]:
        await self.admit()
        completions: dict[int, CompletionChunk] = {}
        while len(completions) < len(self._prompts):
            chunk = await self._next()
            completions[chunk.row] = chunk
        return [completions[row] for row in sorted(completions)]

    async def _next(self) -> CompletionChunk:
        event = await self._next_event()
        if isinstance(event, CompletionChunk):
            return event
        if isinstance(event, Stale):  # the call may be admitted again, with new entries
            self._abandon()
            self._entries = []
        raise event

    async def _next_event(self) -> _Event:
        """At the deadline, completions end with the tokens generated so far."""
        try:
            if self._events.empty():
                async with asyncio.timeout_at(self._deadline):
                    return await self._events.get()
        except TimeoutError:
            if not self._loop.cut(self._entries):
                raise DeadlinePassed from None
        return await self._events.get()


def _send_error(events: asyncio.Queue[_Event], future: asyncio.Future[Answer]) -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        events.put_nowait(error)
