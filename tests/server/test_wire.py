"""What gRPC messages may hold that JSON cannot."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from adapterd.v1 import adapters_pb2, jobs_pb2, predictor_pb2
from adapterd.v1.private_pool import Struct
from server.errors import BadCall
from server.grpc_api import job_wire, wire
from tests.server.build import grpc_client, publish, registry_of, running

NUMBERS = [float("nan"), float("inf"), float("-inf")]


def struct_of(number: float) -> Struct:
    struct = Struct()
    struct.update({"compose": [{"ref": "mood", "weight": number}]})
    return struct


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_that_is_not_finite_is_the_callers_fault_wherever_it_stands(
    number: float,
) -> None:
    struct = struct_of(number)
    with pytest.raises(BadCall, match="parameters"):
        wire.read_parameters(predictor_pb2.PredictRequest(parameters=struct))
    with pytest.raises(BadCall, match="head_settings"):
        wire.read_registration(adapters_pb2.RegisterMetadata(head_settings=struct))
    with pytest.raises(BadCall, match="settings"):
        job_wire.read_job_request(jobs_pb2.CreateJobRequest(settings=struct))


async def test_a_call_with_a_number_that_is_not_finite_is_an_invalid_argument(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        publish(registry_of(server), "mood")
        request = predictor_pb2.PredictRequest(
            task_id="mood",
            inputs=[predictor_pb2.Input(text="x")],
            parameters=struct_of(float("nan")),
        )
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await rpc.predictor.Predict(request)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
