"""The gRPC service `adapterd.v1.Predictor`. Knows no HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from adapterd.v1 import predictor_pb2
from server.auth.caller import Caller
from server.grpc_api import generated, wire
from server.limits import CallLimits
from server.service.completion import CompletionChunk
from server.service.generate.service import GenerateService
from server.service.predict_many import PredictManyService
from server.service.predict_router import PredictRouter
from server.service.requests import GenerationRequest


class PredictorApi:
    """Translates messages and calls the service; contains no logic of its own."""

    def __init__(
        self,
        predict: PredictRouter,
        many: PredictManyService,
        generate: GenerateService,
        limits: CallLimits,
    ) -> None:
        self._predict, self._many, self._generate = predict, many, generate
        self._limits = limits

    async def predict(
        self, request: predictor_pb2.PredictRequest, caller: Caller
    ) -> predictor_pb2.PredictResponse:
        inputs = self._inputs(request)
        parameters = wire.read_parameters(request)
        answer = await self._predict.predict(request.task_id, inputs, parameters, caller)
        return wire.prediction(answer, floats=request.float_embeddings)

    async def predict_stream(
        self, request: predictor_pb2.PredictRequest, caller: Caller
    ) -> AsyncGenerator[predictor_pb2.PredictPiece, None]:
        generation = GenerationRequest(
            ref=request.task_id,
            inputs=self._inputs(request),
            parameters=wire.read_parameters(request),
            caller=caller,
            streams=True,
        )
        with await self._generate.start(generation) as call:
            for position, error in call.errors.items():
                chunk = CompletionChunk(row=position, error=error)
                yield generated.piece(call.model, position, chunk)
            async for chunk in call.chunks():
                yield generated.piece(call.model, call.rows[chunk.row].position, chunk)

    async def predict_many(
        self, request: predictor_pb2.PredictManyRequest, caller: Caller
    ) -> predictor_pb2.PredictManyResponse:
        inputs = self._inputs(request)
        parameters = wire.read_parameters(request)
        refs = list(request.task_ids)
        answers = await self._many.predict(refs, inputs, parameters, caller)
        return wire.predictions(refs, answers, floats=request.float_embeddings)

    def _inputs(
        self, request: predictor_pb2.PredictRequest | predictor_pb2.PredictManyRequest
    ) -> list[object]:
        """Checks the number of inputs before converting them: a message may contain millions."""
        self._limits.check(len(request.inputs))
        return wire.read_inputs(request.inputs)
