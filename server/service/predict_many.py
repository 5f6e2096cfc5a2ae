"""Calls of many tasks on the same inputs: their rows are queued together and answered by task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from server.audit import note_fault
from server.auth.caller import Caller
from server.error_table import DOMAIN_ERRORS, fault_of
from server.errors import BadCall
from server.service.call_barrier import CallBarrier
from server.service.predict_router import PredictRouter
from server.service.values import ManyPredictions, Parameters, Prediction, TaskFailure, Timing

#: how long the other tasks wait for one whose weights come from disk
_PATIENCE_S = 0.05


class PredictManyService:
    """Each task succeeds or fails as in a call of its own."""

    def __init__(self, predict: PredictRouter, clock: Callable[[], float] = time.monotonic) -> None:
        self._predict = predict
        self._clock = clock

    async def predict(
        self, refs: Sequence[str], inputs: Sequence[object], parameters: Parameters, caller: Caller
    ) -> ManyPredictions:
        started = self._clock()
        if not refs:
            raise BadCall("The call names no tasks.")
        await self._predict.check(refs, len(inputs), caller)
        barrier = CallBarrier(len(refs), _PATIENCE_S)
        try:
            results = await asyncio.gather(
                *(self._predict_task(ref, inputs, parameters, caller, barrier) for ref in refs)
            )
        finally:
            barrier.close()
        _raise_common(results)
        return ManyPredictions(
            results=results, timing=_slowest(results, (self._clock() - started) * 1e3)
        )

    async def _predict_task(
        self,
        ref: str,
        inputs: Sequence[object],
        parameters: Parameters,
        caller: Caller,
        barrier: CallBarrier,
    ) -> Prediction | TaskFailure:
        try:
            return await self._predict.predict(ref, inputs, parameters, caller, barrier)
        except DOMAIN_ERRORS as error:
            note_fault(
                error,
                fault_of(error),
                method="predict_many",
                request_id=caller.request_id,
                caller=caller,
            )
            return TaskFailure(task=ref, error=error)
        finally:
            barrier.leave()


def _raise_common(results: Sequence[Prediction | TaskFailure]) -> None:
    """Raises if every task failed with a retryable error, so that the client retries the call."""
    errors = [result.error for result in results if isinstance(result, TaskFailure)]
    if len(errors) == len(results) and all(fault_of(e).outside.retryable for e in errors):
        raise errors[0]


def _slowest(results: Sequence[Prediction | TaskFailure], total_ms: float) -> Timing:
    timings = [result.timing for result in results if isinstance(result, Prediction)]
    return Timing(
        tokenize_ms=max((timing.tokenize_ms for timing in timings), default=0.0),
        queue_ms=max((timing.queue_ms for timing in timings), default=0.0),
        compute_ms=max((timing.compute_ms for timing in timings), default=0.0),
        total_ms=total_ms,
    )
