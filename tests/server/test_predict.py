"""Predict calls end to end over both transports, with the fake engine."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
import pytest

from adapterd.v1 import predictor_pb2
from adapterd.v1.private_pool import Struct
from engine.errors import EngineGone
from engine.port import Load, Predict
from server.main import Server
from server.service.values import Priority
from tests.server.build import (
    HeldEngine,
    grpc_client,
    http_client,
    publish,
    registry_of,
    running,
    until,
)


async def post(server: Server, ref: str, body: Any, **options: Any) -> tuple[int, dict[str, Any]]:
    async with http_client(server) as http:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await http.post(f"/v1/tasks/{ref}/predict", content=content, **options)
        return answer.status_code, answer.json()


async def refusal(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value


def code_of(error: grpc.aio.AioRpcError) -> str:
    return dict(error.trailing_metadata() or ())["adapterd-code"]


async def test_both_transports_give_the_same_answer(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        version = publish(registry_of(server), "mood")
        texts = ["a good day", "a bad day", "naïve café ☕"]
        first = await rpc.predict("mood", *texts)
        _, second = await post(server, "mood", {"inputs": texts})
        assert first.digest == second["digest"] == version.digest
        assert (first.task_id, first.version) == ("mood", 1) == (second["task"], second["version"])
        for ours, theirs in zip(first.outputs, second["outputs"], strict=True):
            assert ours.classification.label == theirs["label"]
            assert dict(ours.classification.scores) == theirs["scores"]


@pytest.mark.parametrize(
    ("head", "shape"),
    [
        ({"kind": "regress", "pooling": "mean"}, {"value"}),
        ({"kind": "tag", "labels": ["O", "B-x", "I-x"]}, {"entities"}),
        ({"kind": "classify", "labels": ["a", "b", "c"]}, {"label", "score", "scores"}),
    ],
    ids=["regress", "tag", "classify"],
)
async def test_every_head_answers_alike_over_both_transports(
    tmp_path: Path, head: dict[str, Any], shape: set[str]
) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        publish(registry_of(server), "job", head=head)
        _, body = await post(server, "job", {"inputs": ["Zoe went home"]})
        output = (await rpc.predict("job", "Zoe went home")).outputs[0]
        assert set(body["outputs"][0]) == shape
        kind = {"regress": "value", "tag": "tags", "classify": "classification"}[head["kind"]]
        assert output.WhichOneof("output") == kind


async def test_a_ref_names_a_version_by_number_or_alias(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        registry = registry_of(server)
        publish(registry, "mood", seed=1)
        second = publish(registry, "mood", seed=2)
        registry.promote("default", "mood", 2, "canary")
        assert (await rpc.predict("mood", "x")).version == 1
        assert (await rpc.predict("mood@2", "x")).digest == second.digest
        assert (await rpc.predict("mood@canary", "x")).digest == second.digest


@pytest.mark.parametrize(
    ("ref", "code"),
    [("nope", "unknown_task"), ("mood@9", "unknown_version"), ("mood@nope", "unknown_alias")],
)
async def test_what_is_not_there_is_a_typed_404(tmp_path: Path, ref: str, code: str) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        publish(registry_of(server), "mood")
        status, body = await post(server, ref, {"inputs": ["x"]})
        error = await refusal(rpc.predict(ref, "x"))
        assert (status, body["code"]) == (404, code)
        assert (error.code(), code_of(error)) == (grpc.StatusCode.NOT_FOUND, code)


@pytest.mark.survival("A18")
async def test_a_name_that_cannot_be_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        error = await refusal(rpc.predict("../../etc/passwd", "x"))
        assert (error.code(), code_of(error)) == (grpc.StatusCode.INVALID_ARGUMENT, "bad_name")


@pytest.mark.survival("C6")
@pytest.mark.parametrize(
    ("item", "code"),
    [
        ("", "empty_input"),
        ("  \n", "empty_input"),
        ("x" * 2001, "input_too_long"),
        ("x " * 200, "input_too_long"),
        ("a\0b", "forbidden_character"),
        ("\ud800", "forbidden_character"),
        (7, "not_text"),
        (None, "not_text"),
        ({"text": 1}, "not_text"),
        ({"text": "a", "tenant": "b"}, "not_text"),
        ({"text": "a", "text_pair": ""}, "empty_input"),
        (["a", "b"], "not_text"),
    ],
)
async def test_a_bad_input_fails_alone(tmp_path: Path, item: Any, code: str) -> None:
    async with running(tmp_path, max_input_chars=2000) as server:
        publish(registry_of(server), "mood")
        status, body = await post(server, "mood", {"inputs": ["good", item, "good"]})
        assert status == 200
        assert body["outputs"][1]["error"]["code"] == code
        assert body["outputs"][0] == body["outputs"][2]
        assert "label" in body["outputs"][0]


@pytest.mark.survival("C6")
@pytest.mark.parametrize(
    ("given", "code"),
    [
        (predictor_pb2.Input(text=""), "empty_input"),
        (predictor_pb2.Input(text="a\0b"), "forbidden_character"),
        (predictor_pb2.Input(), "not_text"),
        (
            predictor_pb2.Input(question_context=predictor_pb2.QuestionContext(question="q")),
            "empty_input",
        ),
        (predictor_pb2.Input(pair=predictor_pb2.Pair(text="a", text_pair=" ")), "empty_input"),
    ],
)
async def test_a_bad_input_fails_alone_over_grpc(tmp_path: Path, given: Any, code: str) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        publish(registry_of(server), "mood")
        inputs = [predictor_pb2.Input(text="good"), given]
        answer = await rpc.predictor.Predict(
            predictor_pb2.PredictRequest(task_id="mood", inputs=inputs)
        )
        assert answer.outputs[0].HasField("classification")
        assert answer.outputs[1].error.code == code


async def test_a_call_of_bad_inputs_only_never_reaches_the_engine(tmp_path: Path) -> None:
    engine = HeldEngine()
    async with running(tmp_path, engine) as server:
        publish(registry_of(server), "mood")
        _, body = await post(server, "mood", {"inputs": ["", 3]})
        assert [o["error"]["code"] for o in body["outputs"]] == ["empty_input", "not_text"]
        assert not any(isinstance(step, Predict | Load) for step in engine.steps)


async def test_a_long_input_is_cut_when_the_caller_says_so(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        publish(registry_of(server), "mood")
        body = {"inputs": ["x " * 200], "parameters": {"truncate": True}}
        assert "label" in (await post(server, "mood", body))[1]["outputs"][0]


async def test_raw_scores_are_logits(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        publish(registry_of(server), "mood")
        body = {"inputs": ["x"], "parameters": {"raw_scores": True}}
        raw = (await post(server, "mood", body))[1]["outputs"][0]["scores"]
        assert abs(sum(raw.values()) - 1) > 1e-6


async def test_a_batch_call_waits_in_its_own_band_over_both_transports(tmp_path: Path) -> None:
    engine = HeldEngine()
    async with running(tmp_path, engine) as server, grpc_client(server) as rpc:
        publish(registry_of(server), "mood")
        queue, parameters = server.parts.dispatch.queue, Struct()
        parameters.update({"priority": "batch"})
        request = predictor_pb2.PredictRequest(
            task_id="mood", inputs=[predictor_pb2.Input(text="x")], parameters=parameters
        )
        body = {"inputs": ["x"], "parameters": {"priority": "batch"}}
        calls = [asyncio.ensure_future(rpc.predict("mood", "first"))]
        await until(lambda: engine.held)
        calls.append(asyncio.ensure_future(rpc.predictor.Predict(request)))
        calls.append(asyncio.ensure_future(post(server, "mood", body)))
        calls.append(asyncio.ensure_future(rpc.predict("mood", "x")))
        await until(lambda: len(queue.entries) == 3)
        bands = sorted(entry.priority for entry in queue.entries)
        assert bands == [Priority.INTERACTIVE, Priority.BATCH, Priority.BATCH]
        engine.release_all()
        await asyncio.gather(*calls)


@pytest.mark.survival("C3", "C5")
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "bad_request"),
        (b"", 400, "bad_request"),
        (b"[" * 100_000, 400, "bad_request"),
        (b'{"inputs":[NaN]}', 400, "bad_request"),
        (b'{"inputs":["x"],"tenant":"b"}', 400, "bad_request"),
        (b'{"inputs":"x"}', 400, "bad_request"),
        (b'{"inputs":[]}', 400, "bad_request"),
        (b'{"inputs":["x"],"parameters":{"n":1000000000}}', 400, "bad_request"),
        (b'{"inputs":["x"],"parameters":{"truncate":"yes"}}', 400, "bad_request"),
        (b'{"inputs":["x"],"parameters":{"priority":"urgent"}}', 400, "bad_request"),
        (b'{"inputs":["x"],"parameters":{"priority":1}}', 400, "bad_request"),
        (json.dumps({"inputs": ["x"] * 1025}).encode(), 400, "too_many_inputs"),
        (b'{"inputs":["' + b"x" * 5000 + b'"]}', 413, "body_too_large"),
    ],
)
async def test_a_call_that_cannot_be_read_is_refused_as_a_whole(
    tmp_path: Path, body: bytes, status: int, code: str
) -> None:
    cap = 4096 if code == "body_too_large" else 2**20
    async with running(tmp_path, max_body_bytes=cap) as server:
        publish(registry_of(server), "mood")
        answered, problem = await post(server, "mood", body)
        assert (answered, problem["code"]) == (status, code)
        assert problem["request_id"]
        assert (await post(server, "mood", {"inputs": ["x"]}))[0] == 200


@pytest.mark.survival("C1")
async def test_a_body_without_a_length_stops_at_the_cap(tmp_path: Path) -> None:
    async def endless() -> Any:
        for _ in range(100):
            yield b" " * 1024

    async with running(tmp_path, max_body_bytes=4096) as server, http_client(server) as http:
        answer = await http.post("/v1/tasks/mood/predict", content=endless())
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.survival("C9")
async def test_a_row_the_engine_cannot_compute_fails_alone(tmp_path: Path) -> None:
    engine = HeldEngine(is_holding=False)
    async with running(tmp_path, engine) as server:
        publish(registry_of(server), "mood")
        engine.inner.poison = server.parts.service.generate._tokenizer.encode("☠").ids[1]
        _, body = await post(server, "mood", {"inputs": ["fine", "☠", "fine"]})
        assert body["outputs"][1]["error"]["code"] == "bad_row"
        assert "label" in body["outputs"][2]


@pytest.mark.survival("H1")
async def test_a_full_queue_is_refused_with_the_time_to_come_back(tmp_path: Path) -> None:
    engine = HeldEngine()
    async with (
        running(tmp_path, engine, max_queue_rows=2, ahead_tokens=10_000) as server,
        grpc_client(server) as rpc,
        http_client(server) as http,
    ):
        publish(registry_of(server), "mood")
        calls = [asyncio.ensure_future(rpc.predict("mood", "x"))]
        await until(lambda: engine.held)
        calls += [asyncio.ensure_future(rpc.predict("mood", "x")) for _ in range(2)]
        await until(lambda: server.parts.dispatch.queue.num_rows == 2)
        error = await refusal(rpc.predict("mood", "x"))
        answer = await http.post("/v1/tasks/mood/predict", json={"inputs": ["x"]})
        assert (error.code(), code_of(error)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "overloaded")
        assert int(dict(error.trailing_metadata() or ())["grpc-retry-pushback-ms"]) > 0
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) >= 1
        engine.release_all()
        assert len(await asyncio.gather(*calls)) == 3


@pytest.mark.survival("C10")
async def test_a_deadline_that_passes_is_a_typed_error_and_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    engine = HeldEngine()
    async with running(tmp_path, engine, predict_timeout_s=0.2) as server:
        publish(registry_of(server), "mood")
        status, body = await post(server, "mood", {"inputs": ["x"]})
        assert (status, body["code"]) == (504, "deadline_exceeded")
        engine.release_all()
        await until(lambda: server.parts.dispatch.residency.num_leases == 0)


async def test_a_grpc_deadline_is_kept(tmp_path: Path) -> None:
    engine = HeldEngine()
    async with running(tmp_path, engine) as server, grpc_client(server) as rpc:
        publish(registry_of(server), "mood")
        error = await refusal(rpc.predict("mood", "x", timeout=0.2))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        engine.release_all()
        await until(lambda: server.parts.dispatch.residency.num_leases == 0)


@pytest.mark.survival("C10")
async def test_a_grpc_caller_who_hangs_up_leaves_no_lease(tmp_path: Path) -> None:
    engine = HeldEngine()
    async with running(tmp_path, engine) as server, grpc_client(server) as rpc:
        publish(registry_of(server), "mood")
        call = asyncio.ensure_future(rpc.predict("mood", "x"))
        await until(lambda: engine.held)
        call.cancel()
        engine.release_all()
        dispatch = server.parts.dispatch
        await until(lambda: (dispatch.residency.num_leases, dispatch.slots.num_leases) == (0, 0))


@pytest.mark.survival("C10")
async def test_an_http_caller_who_hangs_up_takes_the_queued_rows_along(tmp_path: Path) -> None:
    engine = HeldEngine()
    async with running(tmp_path, engine, ahead_tokens=10_000) as server:
        publish(registry_of(server), "mood")
        queue = server.parts.dispatch.queue
        first = asyncio.create_task(post(server, "mood", {"inputs": ["x"]}))
        await until(lambda: engine.held)
        second = asyncio.create_task(post(server, "mood", {"inputs": ["x"]}))
        await until(lambda: queue.num_rows == 1)
        second.cancel()
        await until(lambda: queue.num_rows == 0)
        engine.release_all()
        assert (await first)[0] == 200


@pytest.mark.survival("H5")
async def test_calls_in_flight_get_a_retryable_error_when_the_engine_dies(tmp_path: Path) -> None:
    engine = HeldEngine()
    async with running(tmp_path, engine, ahead_tokens=10_000) as server, grpc_client(server) as rpc:
        publish(registry_of(server), "mood")
        running_call = asyncio.ensure_future(rpc.predict("mood", "x"))
        await until(lambda: engine.held)
        queued_call = asyncio.ensure_future(rpc.predict("mood", "x"))
        await until(lambda: server.parts.dispatch.queue.num_rows == 1)
        engine.die(EngineGone())
        error = await refusal(running_call)
        assert (error.code(), code_of(error)) == (grpc.StatusCode.UNAVAILABLE, "engine_gone")
        await until(lambda: engine.held)
        engine.release_all()
        assert (await queued_call).version == 1  # it never reached the engine that died
        assert (await rpc.predict("mood", "x")).version == 1


@pytest.mark.survival("E1")
async def test_the_answer_names_digest_and_request_outside_the_body_too(tmp_path: Path) -> None:
    async with (
        running(tmp_path) as server,
        grpc_client(server) as rpc,
        http_client(server) as http,
    ):
        version = publish(registry_of(server), "mood")
        answer = await http.post(
            "/v1/tasks/mood/predict", json={"inputs": ["x"]}, headers={"x-request-id": "abc-1"}
        )
        assert answer.headers["x-adapterd-digest"] == version.digest
        assert answer.headers["x-request-id"] == "abc-1"
        request = predictor_pb2.PredictRequest(
            task_id="mood", inputs=[predictor_pb2.Input(text="x")]
        )
        call = rpc.predictor.Predict(request, metadata=(("x-request-id", "bad id\x7f"[:6]),))
        await call
        trailers = dict(await call.trailing_metadata())
        assert trailers["x-adapterd-digest"] == version.digest
        assert trailers["x-request-id"] != "bad id"


async def test_a_large_call_is_split_and_comes_back_in_order(tmp_path: Path) -> None:
    async with running(tmp_path, max_batch_tokens=64, max_batch_rows=8) as server:
        publish(registry_of(server), "mood")
        texts = [f"text {i}" for i in range(100)]
        _, body = await post(server, "mood", {"inputs": texts})
        _, alone = await post(server, "mood", {"inputs": [texts[77]]})
        assert len(body["outputs"]) == 100
        assert body["outputs"][77] == alone["outputs"][0]


async def test_the_timing_adds_up(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        publish(registry_of(server), "mood")
        _, body = await post(server, "mood", {"inputs": ["x"]})
        timing = body["timing"]
        assert set(timing) == {"tokenize_ms", "queue_ms", "compute_ms", "total_ms"}
        assert timing["total_ms"] >= timing["tokenize_ms"] + timing["compute_ms"]
