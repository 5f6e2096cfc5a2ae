"""`adapterd.v1.Predictor`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import closing

from adapterd.v1 import predictor_pb2
from server.auth.caller import Caller
from server.grpc_api import generated, wire
from server.limits import CallLimits
from server.service.completion import CompletionChunk
from server.service.generate.request import GenerationRequest
from server.service.generate.service import GenerateService
from server.service.predict.predict_many import PredictManyService
from server.service.predict.service import PredictService


class PredictorApi:
    """Translates and calls; decides nothing."""

    def __init__(
        self,
        service: PredictService,
        many: PredictManyService,
        write: GenerateService,
        limits: CallLimits,
    ) -> None:
        self._limits = limits
        self._service = service
        self._many = many
        self._write = write

    async def predict(
        self, request: predictor_pb2.PredictRequest, caller: Caller
    ) -> predictor_pb2.PredictResponse:
        inputs = self._inputs(request)
        parameters = wire.read_parameters(request)
        answer = await self._service.predict(request.task_id, inputs, parameters, caller)
        return wire.prediction(answer, floats=request.float_embeddings)

    async def predict_stream(
        self, request: predictor_pb2.PredictRequest, caller: Caller
    ) -> AsyncGenerator[predictor_pb2.PredictPiece, None]:
        author = self._write.author(caller.tenant, request.task_id)
        order = GenerationRequest(
            author=author,
            inputs=self._inputs(request),
            parameters=wire.read_parameters(request),
            caller=caller,
            deadline=self._write.deadline(caller),
            streams=True,
        )
        with self._write.timer(author, caller), closing(await self._write.open(order)) as opened:
            for position, error in opened.errors.items():
                yield generated.piece(author, position, CompletionChunk(row=position, error=error))
            async for piece in opened.pieces():
                yield generated.piece(author, opened.rows[piece.row].position, piece)

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
        """Counted before each becomes an object: a message has room for millions."""
        self._limits.check(len(request.inputs))
        return wire.read_inputs(request.inputs)
