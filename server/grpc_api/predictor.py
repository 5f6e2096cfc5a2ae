"""`adapterd.v1.Predictor`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import closing

from adapterd.v1 import predictor_pb2
from server.grpc_api import wire, written
from server.service.order import Order
from server.service.predict import PredictService
from server.service.predict_many import PredictManyService
from server.service.values import Caller
from server.service.write import WriteService
from server.service.written import Piece


class PredictorApi:
    """Translates and calls; decides nothing."""

    def __init__(
        self, service: PredictService, many: PredictManyService, write: WriteService
    ) -> None:
        self._service = service
        self._many = many
        self._write = write

    async def predict(
        self, request: predictor_pb2.PredictRequest, caller: Caller
    ) -> predictor_pb2.PredictResponse:
        inputs = wire.read_inputs(request.inputs)
        parameters = wire.read_parameters(request)
        answer = await self._service.predict(request.task_id, inputs, parameters, caller)
        return wire.prediction(answer, floats=request.float_embeddings)

    async def predict_stream(
        self, request: predictor_pb2.PredictRequest, caller: Caller
    ) -> AsyncGenerator[predictor_pb2.PredictPiece, None]:
        author = self._write.author(caller.tenant, request.task_id)
        order = Order(
            author=author,
            inputs=wire.read_inputs(request.inputs),
            parameters=wire.read_parameters(request),
            caller=caller,
            deadline=self._write.deadline(caller),
            streams=True,
        )
        with self._write.timer(author, caller), closing(await self._write.open(order)) as opened:
            for position, error in opened.errors.items():
                yield written.piece(author, position, Piece(row=position, error=error))
            async for piece in opened.pieces():
                yield written.piece(author, opened.rows[piece.row].position, piece)

    async def predict_many(
        self, request: predictor_pb2.PredictManyRequest, caller: Caller
    ) -> predictor_pb2.PredictManyResponse:
        inputs = wire.read_inputs(request.inputs)
        parameters = wire.read_parameters(request)
        refs = list(request.task_ids)
        answers = await self._many.predict(refs, inputs, parameters, caller)
        return wire.predictions(refs, answers, floats=request.float_embeddings)
