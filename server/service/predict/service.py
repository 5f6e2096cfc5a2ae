"""Predict calls: tokenizes inputs, leases weights, queues rows and decodes results."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from engine.heads import PREDICTION_HEADS
from server.dispatch.batcher import Batcher
from server.dispatch.entry import Answer, RowTokens
from server.limits import CallLimits
from server.observers import PredictObserver
from server.service.answers import CallResult, read_answers
from server.service.entries import EntryFactory, retry_once_if_stale
from server.service.inputs.tokenization import InputReader, Outputs, TextRow
from server.service.model_resolver import ModelResolver
from server.service.requests import PredictRequest
from server.service.resolved_model import ResolvedModel


class PredictService:
    """Predicts with every head except `generate`."""

    def __init__(
        self,
        *,
        models: ModelResolver,
        reader: InputReader,
        entries: EntryFactory,
        batcher: Batcher,
        limits: CallLimits,
        observer: PredictObserver,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._models, self._reader, self._entries = models, reader, entries
        self._batcher, self._limits = batcher, limits
        self._observer, self._clock = observer, clock

    async def predict(
        self, request: PredictRequest, model: ResolvedModel, deadline: float
    ) -> CallResult:
        """The rows leave the queue if the caller disconnects."""
        parameters, tenant = request.parameters, request.caller.tenant
        outputs: Outputs = [None] * len(request.inputs)
        rows = await self._reader.read(request.inputs, parameters, outputs, model, tenant)
        tokenized_at = self._clock()
        parts = await self._models.resolve_parts(tenant, parameters.compose)
        chunks = split_rows(rows, self._limits, model.pooling)

        async def run() -> list[Answer]:
            entries = await self._entries.make(request, model, parts, deadline, chunks)
            return await self._batcher.run(entries)

        answers = await retry_once_if_stale(run) if rows else []
        head = PREDICTION_HEADS[model.kind]
        read_answers(head, model.head, rows, answers, parameters, outputs)
        result = CallResult(
            outputs=outputs, rows=rows, answers=answers, parts=parts, tokenized_at=tokenized_at
        )
        self._observer.observe_predict(
            tenant=tenant, task=model.name, num_inputs=len(outputs), num_tokens=result.num_tokens
        )
        return result


def split_rows(
    rows: Sequence[TextRow], limits: CallLimits, pooling: str | None
) -> list[list[RowTokens]]:
    """A call's rows in order, in chunks that queue separately, so that other calls run in between.

    `pooling` is set for the bare base only.
    """
    chunks: list[list[RowTokens]] = [[]]
    num_tokens = 0
    for ids, type_ids in (piece for row in rows for piece in row.encoding.rows):
        size = len(ids)
        full = num_tokens + size > limits.entry_tokens or len(chunks[-1]) >= limits.entry_rows
        if chunks[-1] and full:
            chunks.append([])
            num_tokens = 0
        chunks[-1].append(RowTokens(ids, type_ids, pooling))
        num_tokens += size
    return chunks
