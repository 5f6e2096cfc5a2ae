"""Sends any number of inputs as calls of the asyncio client, a few at a time, in order.

`batch_predictor` does the same for synchronous programs; both share the decisions of
`calls.batches`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Any

from adapterd.calls.batches import (
    BatchPlan,
    InputBatch,
    is_divisible,
    is_worth_retrying,
    names_row_limit,
    pin_options,
    pin_version,
    split_inputs,
)
from adapterd.calls.call_options import PredictOptions
from adapterd.errors import AdapterdError, TooLarge
from adapterd.values import Output, Prediction, RowError

#: one predict call: ref, inputs, options
Send = Callable[[str, Any, PredictOptions], Awaitable[Prediction]]


class AsyncBatchPredictor:
    """Answers inputs by one version: that which answers the first of them."""

    def __init__(
        self, send: Send, ref: str, options: PredictOptions, plan: BatchPlan | None = None
    ) -> None:
        self._send, self._ref, self._options = send, ref, options
        self._plan = plan or BatchPlan()
        self._most_rows = self._plan.max_rows
        #: the first answer; its version answers all other inputs
        self.first: Prediction | None = None

    async def predict(self, inputs: Iterable[Any]) -> AsyncGenerator[Output, None]:
        """One output per input, in order; at most a few calls of inputs are held at a time."""
        batches = split_inputs(inputs, self._plan)
        for batch in batches:
            for output in batch.arrange(await self._answer(batch)):
                yield output
            if self.first is not None:
                break
        waiting = deque[tuple[InputBatch, asyncio.Task[list[Output]]]]()
        try:
            for batch in batches:
                waiting.append((batch, asyncio.create_task(self._answer(batch))))
                if len(waiting) > self._plan.calls_in_flight:
                    for output in await _take(waiting):
                        yield output
            while waiting:
                for output in await _take(waiting):
                    yield output
        finally:
            for _, task in waiting:
                task.cancel()

    async def _answer(self, batch: InputBatch) -> list[Output]:
        if not batch.inputs:
            return []
        if len(batch.inputs) > self._most_rows:
            return await self._answer_halves(batch)
        try:
            return list((await self._send_patiently(batch)).outputs)
        except AdapterdError as error:
            if is_divisible(error, batch):
                if names_row_limit(error):
                    self._most_rows = min(self._most_rows, len(batch.inputs) // 2)
                return await self._answer_halves(batch)
            if isinstance(error, TooLarge):
                return [RowError(code=error.problem, message=str(error))]
            raise

    async def _answer_halves(self, batch: InputBatch) -> list[Output]:
        return [output for half in batch.split() for output in await self._answer(half)]

    async def _send_patiently(self, batch: InputBatch) -> Prediction:
        """Raises what the last attempt raised."""
        for delay in (*self._plan.delays_s, None):
            try:
                return await self._send_pinned(batch)
            except AdapterdError as error:
                retries = is_worth_retrying(error, has_answered=self.first is not None)
                if delay is None or not retries or is_divisible(error, batch):
                    raise
                await asyncio.sleep(delay)
        raise AssertionError("the last attempt returns or raises")

    async def _send_pinned(self, batch: InputBatch) -> Prediction:
        prediction = await self._send(self._ref, batch.inputs, self._options)
        if self.first is None:
            self._ref = pin_version(prediction)
            self._options = pin_options(prediction, self._options)
            self.first = prediction
        return prediction


async def _take(waiting: deque[tuple[InputBatch, asyncio.Task[list[Output]]]]) -> list[Output]:
    batch, outputs = waiting.popleft()
    return batch.arrange(await outputs)
