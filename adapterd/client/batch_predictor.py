"""Sends any number of inputs as calls of the synchronous client, a few at a time, in order.

`async_batch_predictor` does the same for asyncio; both share the decisions of `calls.batches`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
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
Send = Callable[[str, Any, PredictOptions], Prediction]


class BatchPredictor:
    """Answers inputs by one version: that which answers the first of them."""

    def __init__(
        self,
        send: Send,
        ref: str,
        options: PredictOptions,
        plan: BatchPlan | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._send, self._ref, self._options = send, ref, options
        self._plan, self._sleep = plan or BatchPlan(), sleep
        self._most_rows = self._plan.max_rows
        #: the first answer; its version answers all other inputs
        self.first: Prediction | None = None

    def predict(self, inputs: Iterable[Any]) -> Generator[Output, None, None]:
        """One output per input, in order; at most a few calls of inputs are held at a time."""
        batches = split_inputs(inputs, self._plan)
        for batch in batches:
            yield from batch.arrange(self._answer(batch))
            if self.first is not None:
                break
        pool = ThreadPoolExecutor(self._plan.calls_in_flight, "predict")
        waiting = deque[tuple[InputBatch, Future[list[Output]]]]()
        try:
            for batch in batches:
                waiting.append((batch, pool.submit(self._answer, batch)))
                if len(waiting) > self._plan.calls_in_flight:
                    yield from _take(waiting)
            while waiting:
                yield from _take(waiting)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _answer(self, batch: InputBatch) -> list[Output]:
        if not batch.inputs:
            return []
        if len(batch.inputs) > self._most_rows:
            return self._answer_halves(batch)
        try:
            return list(self._send_patiently(batch).outputs)
        except AdapterdError as error:
            if is_divisible(error, batch):
                if names_row_limit(error):
                    self._most_rows = min(self._most_rows, len(batch.inputs) // 2)
                return self._answer_halves(batch)
            if isinstance(error, TooLarge):
                return [RowError(code=error.problem, message=str(error))]
            raise

    def _answer_halves(self, batch: InputBatch) -> list[Output]:
        return [output for half in batch.split() for output in self._answer(half)]

    def _send_patiently(self, batch: InputBatch) -> Prediction:
        """Raises what the last attempt raised."""
        for delay in (*self._plan.delays_s, None):
            try:
                return self._send_pinned(batch)
            except AdapterdError as error:
                retries = is_worth_retrying(error, has_answered=self.first is not None)
                if delay is None or not retries or is_divisible(error, batch):
                    raise
                self._sleep(delay)
        raise AssertionError("the last attempt returns or raises")

    def _send_pinned(self, batch: InputBatch) -> Prediction:
        prediction = self._send(self._ref, batch.inputs, self._options)
        if self.first is None:
            self._ref = pin_version(prediction)
            self._options = pin_options(prediction, self._options)
            self.first = prediction
        return prediction


def _take(waiting: deque[tuple[InputBatch, Future[list[Output]]]]) -> list[Output]:
    batch, outputs = waiting.popleft()
    return batch.arrange(outputs.result())
