"""`adapterd.v1.Predictor`."""

from __future__ import annotations

from protos.adapterd.v1 import predictor_pb2
from server.grpc_api import wire
from server.service.predict import PredictService
from server.service.predict_many import PredictManyService
from server.service.values import Caller


class PredictorApi:
    """Translates and calls; decides nothing."""

    def __init__(self, service: PredictService, many: PredictManyService) -> None:
        self._service = service
        self._many = many

    async def predict(
        self, request: predictor_pb2.PredictRequest, caller: Caller
    ) -> predictor_pb2.PredictResponse:
        inputs = wire.read_inputs(request.inputs)
        parameters = wire.read_parameters(request)
        return wire.prediction(
            await self._service.predict(request.task_id, inputs, parameters, caller)
        )

    async def predict_many(
        self, request: predictor_pb2.PredictManyRequest, caller: Caller
    ) -> predictor_pb2.PredictManyResponse:
        inputs = wire.read_inputs(request.inputs)
        parameters = wire.read_parameters(request)
        refs = list(request.task_ids)
        return wire.predictions(refs, await self._many.predict(refs, inputs, parameters, caller))
