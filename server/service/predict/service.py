"""One predict call: resolve once, read the inputs, tokenise, hold the weights, wait for the rows,
decode.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from adapters_registry.errors import RegistryError
from adapters_registry.values import Version
from engine.heads import PREDICTION_HEADS
from server.auth.caller import Caller
from server.dispatch.batcher import Batcher
from server.dispatch.entry import Answer, Entry, RowTokens
from server.dispatch.leases import AnyLease, Leases
from server.errors import DeadlinePassed, Stale
from server.limits import CallLimits
from server.service.answers import check_parameters, read_answers, written_output
from server.service.call_barrier import CallBarrier
from server.service.generate.request import GenerationRequest
from server.service.generate.service import GenerateService
from server.service.inputs.tokenization import InputReader, Outputs, TextRow
from server.service.predict.admission import Admission
from server.service.predict.row_chunks import row_chunks
from server.service.predict_observer import PredictObserver
from server.service.target import ResolvedModel
from server.service.targets import ModelResolver
from server.service.values import Composed, Parameters, Prediction, Priority, RowError, Timing


class _Wait(NamedTuple):
    """On whose behalf rows wait, in which band, until when, and what they ask for besides."""

    tenant: str
    priority: Priority
    deadline: float
    #: queue when these others do
    together: CallBarrier | None
    #: what acts in place of the version's own adapter, with weights; empty: only that
    parts: Sequence[tuple[Version, float]] = ()


class _Answered(NamedTuple):
    """What a call came to: outputs by input, and where its time went."""

    outputs: Outputs
    rows: Sequence[TextRow]
    answers: Sequence[Answer]
    parts: Sequence[tuple[Version, float]]
    tokenized_at: float


class PredictService:
    """Answers by task.

    Every answer comes from exactly one digest: the ref is resolved once per call.
    """

    def __init__(
        self,
        *,
        authors: ModelResolver,
        reader: InputReader,
        leases: Leases,
        admission: Admission,
        batcher: Batcher,
        write: GenerateService,
        limits: CallLimits,
        observer: PredictObserver,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._authors = authors
        self._reader = reader
        self._leases = leases
        self._admission = admission
        self._batcher = batcher
        self._write = write
        self._limits = limits
        self._observer = observer
        self._clock = clock

    async def predict(
        self,
        ref: str,
        inputs: Sequence[object],
        parameters: Parameters,
        caller: Caller,
        together: CallBarrier | None = None,
    ) -> Prediction:
        """With `together` the rows queue at the moment when the rows of other calls do."""
        author = self._authors.of(caller.tenant, ref)
        return await self._predict(author, inputs, parameters, caller, together)

    async def embed(
        self, ref: str, inputs: Sequence[object], parameters: Parameters, caller: Caller
    ) -> Prediction:
        """Raises BadCall for a ref that makes no embeddings."""
        author = self._authors.embedding(caller.tenant, ref)
        return await self._predict(author, inputs, parameters, caller)

    async def _predict(
        self,
        author: ResolvedModel,
        inputs: Sequence[object],
        parameters: Parameters,
        caller: Caller,
        together: CallBarrier | None = None,
    ) -> Prediction:
        order = GenerationRequest(
            author=author, inputs=inputs, parameters=parameters, caller=caller,
            deadline=self._write.deadline(caller), together=together,
        )  # fmt: skip
        with self._write.timer(author, caller):
            return await self._prediction_of(order)

    async def _prediction_of(self, order: GenerationRequest) -> Prediction:
        started, author = self._clock(), order.author
        self._limits.check(len(order.inputs))
        self._admission.check([author], len(order.inputs))
        check_parameters(author, order.parameters)
        answer = self._written if author.generates else self._answered
        try:
            async with asyncio.timeout_at(order.deadline):
                answered = await answer(order)
        except TimeoutError:
            raise DeadlinePassed from None
        self._observe(order.caller.tenant, author, answered.outputs, answered.rows)
        return self._prediction(author, answered, started)

    def check(self, refs: Sequence[str], num_inputs: int, caller: Caller) -> None:
        """Raises BadCall, TooManyInputs, Draining or Overloaded for a call of so many inputs to
        each ref; one that names nothing is for its own task to tell.
        """
        self._limits.check(num_inputs * len(refs))
        authors = []
        for ref in refs:
            with contextlib.suppress(RegistryError):
                authors.append(self._authors.of(caller.tenant, ref))
        self._admission.check(authors, num_inputs)

    async def _answered(self, order: GenerationRequest) -> _Answered:
        author, parameters, tenant = order.author, order.parameters, order.caller.tenant
        outputs: Outputs = [None] * len(order.inputs)
        rows = await self._reader.read(order.inputs, parameters, outputs, author, tenant)
        tokenized_at = self._clock()
        parts = [(self._authors.version(tenant, p.ref), p.weight) for p in parameters.compose]
        wait = _Wait(tenant, parameters.priority, order.deadline, order.together, parts)
        answers = await self._compute(author, rows, wait) if rows else []
        read_answers(PREDICTION_HEADS[author.kind], author.head, rows, answers, parameters, outputs)
        return _Answered(outputs, rows, answers, parts, tokenized_at)

    async def _written(self, order: GenerationRequest) -> _Answered:
        opened = await self._write.open(order)
        outputs: Outputs = [opened.errors.get(i) for i in range(len(order.inputs))]
        pieces = await opened.texts()
        for row, piece in zip(opened.rows, pieces, strict=True):
            outputs[row.position] = written_output(piece, order.author.head)
        answers = list(opened.call.answers.values()) if opened.call else []
        return _Answered(outputs, opened.rows, answers, opened.parts, opened.tokenized_at)

    def _prediction(self, author: ResolvedModel, answered: _Answered, started: float) -> Prediction:
        answers = answered.answers
        return Prediction(
            task=author.name,
            version=author.number,
            digest=author.digest,
            head=author.kind,
            composed=[Composed.of(part, weight) for part, weight in answered.parts],
            outputs=[output for output in answered.outputs if output is not None],
            num_tokens=sum(row.encoding.num_tokens for row in answered.rows),
            timing=Timing(
                tokenize_ms=(answered.tokenized_at - started) * 1e3,
                queue_ms=max((answer.queue_s for answer in answers), default=0.0) * 1e3,
                compute_ms=max((answer.compute_s for answer in answers), default=0.0) * 1e3,
                total_ms=(self._clock() - started) * 1e3,
            ),
        )

    # ------------------------------------------------------------ rows

    async def _compute(
        self, author: ResolvedModel, rows: Sequence[TextRow], wait: _Wait
    ) -> list[Answer]:
        try:
            return await self._run(author, rows, wait)
        except Stale:
            # the engine was replaced before it saw these rows; with the weights loaded again they
            # lose nothing
            return await self._run(author, rows, wait)

    async def _run(
        self, author: ResolvedModel, rows: Sequence[TextRow], wait: _Wait
    ) -> list[Answer]:
        lease = await self._leases.of(author.version, wait.parts)
        try:
            if wait.together is not None:
                await wait.together.arrive()
            entries = [
                self._entry(author, chunk, wait, lease.again())
                for chunk in row_chunks(rows, self._limits, author.pooling)
            ]
        finally:
            lease.release()
        return await self._batcher.run(entries)

    def _entry(
        self, author: ResolvedModel, rows: list[RowTokens], wait: _Wait, lease: AnyLease
    ) -> Entry:
        return Entry(
            rows=rows,
            cost=sum(len(row.ids) for row in rows),
            tenant=wait.tenant,
            label=author.label,
            priority=wait.priority,
            deadline=wait.deadline,
            enqueued_at=self._clock(),
            lease=lease,
            future=asyncio.get_running_loop().create_future(),
        )

    # ------------------------------------------------------------ answers

    def _observe(
        self, tenant: str, author: ResolvedModel, outputs: Outputs, rows: Sequence[TextRow]
    ) -> None:
        for output in outputs:
            if isinstance(output, RowError):
                self._observer.row_failed(output.code)
        if not author.generates:  # the generation service reports its own calls
            self._observer.predicted(
                tenant=tenant,
                task=author.name,
                num_inputs=len(outputs),
                num_tokens=sum(row.encoding.num_tokens for row in rows),
            )
