"""One predict call: resolve once, read the inputs, tokenise, hold the weights, wait for the rows,
decode.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from adapters_registry.errors import RegistryError
from adapters_registry.values import Version
from engine.heads import head_kind
from engine.heads.generate import GenerateHead
from server.dispatch.batcher import Batcher
from server.dispatch.compositions import Compositions, JointLease
from server.dispatch.entry import Answer, Entry, RowTokens
from server.dispatch.residency import Lease, Residency
from server.dispatch.writer import Writer
from server.errors import DeadlinePassed, Stale
from server.limits import CallLimits
from server.service.admission import Admission
from server.service.answers import check_parameters, read_answers
from server.service.prompts import PromptReader
from server.service.together import Together
from server.service.tokens import InputReader, Outputs, TextRow
from server.service.values import (
    Caller,
    Composed,
    Parameters,
    Prediction,
    Priority,
    RowError,
    Timing,
)


class PredictObserver(Protocol):
    """Hears of predict calls; the metrics."""

    def predicted(self, *, tenant: str, task: str, num_inputs: int, num_tokens: int) -> None: ...
    def row_failed(self, code: str) -> None: ...


class _Wait(NamedTuple):
    """On whose behalf rows wait, in which band, until when, and what they ask for besides."""

    tenant: str
    priority: Priority
    deadline: float
    #: queue when these others do
    together: Together | None
    #: how much each row may write; 0 where nothing is written
    max_tokens: int = 0
    #: what acts in place of the version's own adapter, with weights; empty: only that
    parts: Sequence[tuple[Version, float]] = ()


class PredictService:
    """Answers by task.

    Every answer comes from exactly one digest: the ref is resolved once per call.
    """

    def __init__(
        self,
        *,
        resolve: Callable[[str, str], Version],
        reader: InputReader,
        prompts: PromptReader,
        residency: Residency,
        compositions: Compositions,
        admission: Admission,
        batcher: Batcher,
        writer: Writer,
        limits: CallLimits,
        observer: PredictObserver,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolve = resolve
        self._reader = reader
        self._prompts = prompts
        self._residency = residency
        self._compositions = compositions
        self._admission = admission
        self._batcher = batcher
        self._writer = writer
        self._limits = limits
        self._observer = observer
        self._clock = clock

    async def predict(
        self,
        ref: str,
        inputs: Sequence[object],
        parameters: Parameters,
        caller: Caller,
        together: Together | None = None,
    ) -> Prediction:
        """With `together` the rows queue at the moment when the rows of other calls do."""
        started = self._clock()
        version = self._resolve(caller.tenant, ref)
        self._admission.check_size(len(inputs))
        self._admission.check_rooms([version], len(inputs))
        deadline = started + self._limits.timeout_s
        if caller.deadline is not None:
            deadline = min(deadline, caller.deadline)
        wait = _Wait(caller.tenant, parameters.priority, deadline, together)
        try:
            async with asyncio.timeout_at(deadline):
                return await self._answer(version, inputs, parameters, wait, started)
        except TimeoutError:
            raise DeadlinePassed from None

    def check(self, refs: Sequence[str], num_inputs: int, caller: Caller) -> None:
        """Raises BadCall, TooManyInputs, Draining or Overloaded for a call of so many inputs to
        each ref; one that names nothing is for its own task to tell.
        """
        self._admission.check_size(num_inputs * len(refs))
        versions = []
        for ref in refs:
            with contextlib.suppress(RegistryError):
                versions.append(self._resolve(caller.tenant, ref))
        self._admission.check_rooms(versions, num_inputs)

    async def _answer(
        self,
        version: Version,
        inputs: Sequence[object],
        parameters: Parameters,
        wait: _Wait,
        started: float,
    ) -> Prediction:
        outputs: Outputs = [None] * len(inputs)
        head = version.manifest.semantics["head"]
        kind = head_kind(head)
        check_parameters(version, kind, parameters)
        writes = kind.name == GenerateHead.name
        if writes:
            rows = await self._prompts.read(inputs, head, outputs)
        else:
            rows = await self._reader.read(inputs, parameters, outputs, head)
        tokenized = self._clock()
        if writes:
            most = head["max_tokens"]
            wait = wait._replace(max_tokens=min(parameters.max_tokens or most, most))
        parts = [(self._resolve(wait.tenant, p.ref), p.weight) for p in parameters.compose]
        wait = wait._replace(parts=parts)
        answers = await self._compute(version, rows, wait) if rows else []
        if writes:
            self._prompts.decode(rows, answers, head, outputs)
        else:
            read_answers(kind, head, rows, answers, parameters, outputs)
        self._observe(version, outputs, rows)
        return Prediction(
            task=version.task,
            version=version.number,
            digest=version.digest,
            head=head["kind"],
            composed=[Composed.of(version, weight) for version, weight in parts],
            outputs=[output for output in outputs if output is not None],
            timing=Timing(
                tokenize_ms=(tokenized - started) * 1e3,
                queue_ms=max((answer.queue_s for answer in answers), default=0.0) * 1e3,
                compute_ms=max((answer.compute_s for answer in answers), default=0.0) * 1e3,
                total_ms=(self._clock() - started) * 1e3,
            ),
        )

    # ------------------------------------------------------------ rows

    async def _compute(
        self, version: Version, rows: Sequence[TextRow], wait: _Wait
    ) -> list[Answer]:
        try:
            return await self._run(version, rows, wait)
        except Stale:
            # the engine was replaced before it saw these rows; with the weights loaded again they
            # lose nothing
            return await self._run(version, rows, wait)

    async def _run(self, version: Version, rows: Sequence[TextRow], wait: _Wait) -> list[Answer]:
        lease = await self._lease(version, wait.parts)
        try:
            if wait.together is not None:
                await wait.together.arrive()
            entries = [
                self._entry(version, chunk, wait, lease.again()) for chunk in self._chunks(rows)
            ]
        finally:
            lease.release()
        return await (self._writer if wait.max_tokens else self._batcher).run(entries)

    async def _lease(
        self, version: Version, parts: Sequence[tuple[Version, float]]
    ) -> Lease | JointLease:
        if parts:
            return await self._compositions.acquire(version, parts)
        return self._residency.lease(version.digest) or await self._residency.acquire(version)

    def _chunks(self, rows: Sequence[TextRow]) -> list[list[RowTokens]]:
        chunks: list[list[RowTokens]] = [[]]
        num_tokens = 0
        for ids, type_ids in (piece for row in rows for piece in row.encoding.rows):
            size = len(ids)
            full = (
                num_tokens + size > self._limits.entry_tokens
                or len(chunks[-1]) >= self._limits.entry_rows
            )
            if chunks[-1] and full:
                chunks.append([])
                num_tokens = 0
            chunks[-1].append(RowTokens(ids, type_ids))
            num_tokens += size
        return chunks

    def _entry(
        self, version: Version, rows: list[RowTokens], wait: _Wait, lease: Lease | JointLease
    ) -> Entry:
        return Entry(
            rows=rows,
            cost=sum(len(row.ids) for row in rows),
            tenant=wait.tenant,
            label=version.task,
            priority=wait.priority,
            deadline=wait.deadline,
            enqueued_at=self._clock(),
            lease=lease,
            max_tokens=wait.max_tokens,
            future=asyncio.get_running_loop().create_future(),
        )

    # ------------------------------------------------------------ answers

    def _observe(self, version: Version, outputs: Outputs, rows: Sequence[TextRow]) -> None:
        for output in outputs:
            if isinstance(output, RowError):
                self._observer.row_failed(output.code)
        self._observer.predicted(
            tenant=version.tenant,
            task=version.task,
            num_inputs=len(outputs),
            num_tokens=sum(row.encoding.num_tokens for row in rows),
        )
