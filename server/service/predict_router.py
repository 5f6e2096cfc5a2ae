"""Routes calls to models: resolves the ref once, checks limits and queues, and calls the service of
the head.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

from adapters_registry.errors import RegistryError
from server.auth.caller import Caller
from server.dispatch.request_queue import RequestQueue
from server.errors import DeadlinePassed
from server.limits import CallLimits
from server.observers import PredictObserver
from server.service.answers import CallResult, check_parameters
from server.service.call_barrier import CallBarrier
from server.service.generate.service import GenerateService
from server.service.model_resolver import ModelResolver
from server.service.predict.service import PredictService
from server.service.requests import GenerationRequest, PredictRequest
from server.service.resolved_model import ResolvedModel
from server.service.task_timer import TaskTimer
from server.service.values import Parameters, Prediction, RowError


class PredictRouter:
    """Predicts by ref with any head.

    Each answer comes from exactly one digest, because the ref is resolved once per call.
    """

    def __init__(
        self,
        *,
        models: ModelResolver,
        predict: PredictService,
        generate: GenerateService,
        queue: RequestQueue,
        generation_queue: RequestQueue,
        limits: CallLimits,
        observer: PredictObserver,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._models, self._predict, self._generate = models, predict, generate
        self._queue, self._generation_queue = queue, generation_queue
        self._limits, self._observer, self._clock = limits, observer, clock

    async def predict(
        self,
        ref: str,
        inputs: Sequence[object],
        parameters: Parameters,
        caller: Caller,
        barrier: CallBarrier | None = None,
    ) -> Prediction:
        """With `barrier`, the rows are queued together with those of other calls."""
        model = await self._models.resolve(caller.tenant, ref)
        request = PredictRequest(
            ref=ref, inputs=inputs, parameters=parameters, caller=caller, barrier=barrier
        )
        return await self._answer(request, model)

    async def embed(
        self, ref: str, inputs: Sequence[object], parameters: Parameters, caller: Caller
    ) -> Prediction:
        """Raises BadCall for a ref that makes no embeddings."""
        model = await self._models.resolve_embedder(caller.tenant, ref)
        request = PredictRequest(ref=ref, inputs=inputs, parameters=parameters, caller=caller)
        return await self._answer(request, model)

    async def check(self, refs: Sequence[str], num_inputs: int, caller: Caller) -> None:
        """Checks a call of `num_inputs` inputs to each ref. Raises BadCall, TooManyInputs, Draining
        or Overloaded. An unknown ref is not reported here but as the failure of its task.
        """
        self._limits.check(num_inputs * len(refs))
        models = []
        for ref in refs:
            with contextlib.suppress(RegistryError):
                models.append(await self._models.resolve(caller.tenant, ref))
        self._check_queues(models, num_inputs, caller)

    async def _answer(self, request: PredictRequest, model: ResolvedModel) -> Prediction:
        started, caller = self._clock(), request.caller
        deadline = self._limits.deadline(caller, started)
        with TaskTimer(self._observer, caller.tenant, model.name, self._clock):
            self._limits.check(len(request.inputs))
            self._check_queues([model], len(request.inputs), caller)
            check_parameters(model, request.parameters)
            result = await self._compute(request, model, deadline)
            for output in result.outputs:
                if isinstance(output, RowError):
                    self._observer.observe_row_error(output.code)
            return result.prediction(model, started, self._clock())

    async def _compute(
        self, request: PredictRequest, model: ResolvedModel, deadline: float
    ) -> CallResult:
        if model.generates:
            generation = GenerationRequest.from_predict(request)
            return await self._generate.complete(generation, model, deadline)
        try:
            async with asyncio.timeout_at(deadline):
                return await self._predict.predict(request, model, deadline)
        except TimeoutError:
            raise DeadlinePassed from None

    def _check_queues(
        self, models: Sequence[ResolvedModel], num_inputs: int, caller: Caller
    ) -> None:
        """Raises Draining or Overloaded before inputs are tokenized. This check is approximate; the
        queues later count tokens, too. Generation has a queue of its own, so that it cannot block
        other rows.
        """
        num_generating = sum(model.generates for model in models)
        num_others = len(models) - num_generating
        for queue, num in ((self._queue, num_others), (self._generation_queue, num_generating)):
            if num:
                queue.check(caller.tenant, num * num_inputs)
