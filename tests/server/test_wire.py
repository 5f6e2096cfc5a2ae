"""What gRPC messages may hold that JSON cannot."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import grpc
import pytest

from adapterd.v1 import adapters_pb2, jobs_pb2, predictor_pb2, tasks_pb2
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


async def test_embeddings_come_as_floats_where_the_call_asks_for_them(tmp_path: Path) -> None:
    text = [predictor_pb2.Input(text="a text")]
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        publish(registry_of(server), "vector", head={"kind": "embed"})
        whole = predictor_pb2.PredictRequest(task_id="vector", inputs=text)
        half = predictor_pb2.PredictRequest(task_id="vector", inputs=text, float_embeddings=True)
        doubles, floats = [
            (await rpc.predictor.Predict(request)).outputs[0].embedding for request in (whole, half)
        ]
        many = predictor_pb2.PredictManyRequest(
            task_ids=["vector"], inputs=text, float_embeddings=True
        )
        (result,) = (await rpc.predictor.PredictMany(many)).results
    assert not doubles.values
    assert not floats.embedding
    assert list(floats.values) == pytest.approx(list(doubles.embedding), rel=1e-6)
    assert result.prediction.outputs[0].embedding == floats
    assert 2 * floats.ByteSize() < doubles.ByteSize() + 16


async def test_a_moment_is_told_in_seconds_and_as_a_time(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        publish(registry_of(server), "mood")
        version = await rpc.adapters.GetVersion(adapters_pb2.GetVersionRequest(task_id="mood@1"))
        (task,) = (await rpc.tasks.ListTasks(tasks_pb2.ListTasksRequest())).tasks
        history = adapters_pb2.AliasHistoryRequest(task_id="mood", alias="production")
        (event,) = (await rpc.adapters.AliasHistory(history)).events
    told = [(version.created_at, version.create_time), (task.created_at, task.create_time)]
    for seconds, moment in (*told, (event.at, event.event_time)):
        assert moment.ToMicroseconds() == round(seconds * 1e6)
        assert moment.ToDatetime(UTC).timestamp() == pytest.approx(seconds, abs=1e-6)


def test_whole_numbers_of_a_struct_are_integers_again_however_deep() -> None:
    sent = Struct()
    sent.update({"seed": 7, "top_p": 0.5, "compose": [{"weight": 2}], "far": 1e300, "on": True})
    read = wire.read_struct(sent, "parameters")
    assert read == {"seed": 7, "top_p": 0.5, "compose": [{"weight": 2}], "far": 1e300, "on": True}
    kinds = [type(read[name]) for name in ("seed", "top_p", "far", "on")]
    assert kinds == [int, float, float, bool]
    assert type(read["compose"][0]["weight"]) is int


@pytest.mark.parametrize("text", ["{", '{"messages": NaN}', "[" * 100_000])
def test_a_conversation_that_is_no_json_is_no_input(text: str) -> None:
    conversation = predictor_pb2.Messages(conversation=text)
    assert wire.read_inputs([predictor_pb2.Input(messages=conversation)]) == [None]
