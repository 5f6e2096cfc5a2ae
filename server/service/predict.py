"""One predict call: resolve once, read the inputs, tokenise, hold the weights, wait for the rows,
decode.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, NamedTuple, Protocol

from adapters_registry.values import Version
from engine.errors import EngineError
from engine.heads import HeadKind, head_kind
from engine.heads.head_kind import Answering
from engine.port import Array, Failure
from server.dispatch.batcher import Batcher
from server.dispatch.entry import Answer, Entry, RowTokens
from server.dispatch.residency import Lease, Residency
from server.dispatch.waiting_room import WaitingRoom
from server.errors import BadCall, DeadlinePassed, Stale, TooManyInputs
from server.limits import CallLimits
from server.service.tokens import InputReader, Outputs, TextRow
from server.service.values import Caller, Parameters, Prediction, Priority, RowError, Timing


class PredictObserver(Protocol):
    """Hears of predict calls; the metrics."""

    def predicted(self, *, tenant: str, task: str, num_inputs: int, num_tokens: int) -> None: ...
    def row_failed(self, code: str) -> None: ...


class _Wait(NamedTuple):
    """On whose behalf rows wait, in which band, and until when."""

    tenant: str
    priority: Priority
    deadline: float


class PredictService:
    """Answers by task.

    Every answer comes from exactly one digest: the ref is resolved once per call.
    """

    def __init__(
        self,
        *,
        resolve: Callable[[str, str], Version],
        reader: InputReader,
        residency: Residency,
        room: WaitingRoom,
        batcher: Batcher,
        limits: CallLimits,
        observer: PredictObserver,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolve = resolve
        self._reader = reader
        self._residency = residency
        self._room = room
        self._batcher = batcher
        self._limits = limits
        self._observer = observer
        self._clock = clock

    async def predict(
        self, ref: str, inputs: Sequence[object], parameters: Parameters, caller: Caller
    ) -> Prediction:
        started = self._clock()
        version = self._resolve(caller.tenant, ref)
        self._check_call(inputs)
        deadline = started + self._limits.timeout_s
        if caller.deadline is not None:
            deadline = min(deadline, caller.deadline)
        try:
            async with asyncio.timeout_at(deadline):
                return await self._answer(version, inputs, parameters, caller, started, deadline)
        except TimeoutError:
            raise DeadlinePassed from None

    def _check_call(self, inputs: Sequence[object]) -> None:
        if not inputs:
            raise BadCall("The call holds no inputs.")
        if len(inputs) > self._limits.max_inputs:
            raise TooManyInputs(
                f"The call holds {len(inputs)} inputs; "
                f"this server takes at most {self._limits.max_inputs} a call."
            )
        self._room.check(len(inputs))

    async def _answer(
        self,
        version: Version,
        inputs: Sequence[object],
        parameters: Parameters,
        caller: Caller,
        started: float,
        deadline: float,
    ) -> Prediction:
        outputs: Outputs = [None] * len(inputs)
        head = version.manifest.semantics["head"]
        kind = head_kind(head)
        _check_parameters(version, kind, parameters)
        rows = await self._reader.read(inputs, parameters, outputs, head)
        tokenized = self._clock()
        wait = _Wait(tenant=caller.tenant, priority=parameters.priority, deadline=deadline)
        answers = await self._compute(version, rows, wait) if rows else []
        self._decode(kind, head, rows, answers, parameters, outputs)
        self._observe(version, outputs, rows)
        return Prediction(
            task=version.task,
            version=version.number,
            digest=version.digest,
            head=head["kind"],
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
        lease = self._residency.lease(version.digest) or await self._residency.acquire(version)
        try:
            entries = [
                self._entry(version, chunk, wait, lease.again()) for chunk in self._chunks(rows)
            ]
        finally:
            lease.release()
        return await self._batcher.run(entries)

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

    def _entry(self, version: Version, rows: list[RowTokens], wait: _Wait, lease: Lease) -> Entry:
        return Entry(
            rows=rows,
            cost=sum(len(row.ids) for row in rows),
            tenant=wait.tenant,
            label=version.task,
            priority=wait.priority,
            deadline=wait.deadline,
            enqueued_at=self._clock(),
            lease=lease,
            future=asyncio.get_running_loop().create_future(),
        )

    # ------------------------------------------------------------ answers

    def _decode(
        self,
        kind: HeadKind,
        head: dict[str, Any],
        rows: Sequence[TextRow],
        answers: Sequence[Answer],
        parameters: Parameters,
        outputs: Outputs,
    ) -> None:
        results = iter([result for answer in answers for result in answer.rows])
        wanted = Answering(
            raw_scores=parameters.raw_scores,
            normalize=parameters.normalize,
            dimensions=parameters.dimensions,
        )
        for row in rows:
            pieces = list(islice(results, max(1, len(row.encoding.windows))))
            outputs[row.position] = _answer_of(kind, head, row, pieces, wanted)

    def _observe(
        self,
        version: Version,
        outputs: Outputs,
        rows: Sequence[TextRow],
    ) -> None:
        for output in outputs:
            if isinstance(output, RowError):
                self._observer.row_failed(output.code)
        self._observer.predicted(
            tenant=version.tenant,
            task=version.task,
            num_inputs=len(outputs),
            num_tokens=sum(row.encoding.num_tokens for row in rows),
        )


def _check_parameters(version: Version, kind: HeadKind, parameters: Parameters) -> None:
    """What shapes embeddings only must not be silently without effect elsewhere."""
    for name in ("normalize", "dimensions"):
        if getattr(parameters, name) is not None and name not in kind.settings:
            raise BadCall(f"The parameter {name} is for embeddings; {version.task} is {kind.name}.")


def _answer_of(
    kind: HeadKind,
    head: dict[str, Any],
    row: TextRow,
    pieces: Sequence[Array | Failure],
    wanted: Answering,
) -> dict[str, Any] | RowError:
    failed = next((piece for piece in pieces if isinstance(piece, Failure)), None)
    if failed is not None:
        return RowError(code=failed.code, message=failed.message)
    parts = [piece.numpy() for piece in pieces if isinstance(piece, Array)]
    try:
        logits = kind.merged(parts, [row.encoding])
        return kind.decode(logits, head, row.encoding, row.text, wanted)
    except EngineError as error:
        return RowError(code=error.code, message=str(error))
