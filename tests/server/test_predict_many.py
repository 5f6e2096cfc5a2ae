"""One text through many tasks, over both transports, with the fake engine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from adapterd.v1 import predictor_pb2
from adapterd.v1.private_pool import Struct
from engine.errors import EngineGone, OutOfMemory
from engine.port import Load
from server.main import Server
from server.service.call_barrier import CallBarrier
from tests.server.build import (
    Grpc,
    HeldEngine,
    grpc_client,
    http_client,
    publish,
    registry_of,
    running,
    until,
)


async def post(server: Server, body: Any) -> tuple[int, dict[str, Any]]:
    async with http_client(server) as http:
        answer = await http.post("/v1/predict", json=body)
        return answer.status_code, answer.json()


async def many(rpc: Grpc, refs: list[str], *texts: str) -> predictor_pb2.PredictManyResponse:
    request = predictor_pb2.PredictManyRequest(
        task_ids=refs, inputs=[predictor_pb2.Input(text=text) for text in texts]
    )
    answer: predictor_pb2.PredictManyResponse = await rpc.predictor.PredictMany(request)
    return answer


async def test_each_task_answers_as_it_does_alone_over_both_transports(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        publish(registry_of(server), "mood", seed=1)
        publish(registry_of(server), "score", seed=2, head={"kind": "regress", "pooling": "mean"})
        alone = [await rpc.predict(ref, "a good day", "a bad one") for ref in ("score", "mood@1")]
        answer = await many(rpc, ["score", "mood@1"], "a good day", "a bad one")
        body = {"inputs": ["a good day", "a bad one"], "tasks": ["score", "mood@1"]}
        status, shown = await post(server, body)
        assert status == 200
        assert shown["timing"]["total_ms"] > 0
        for expected, ours, theirs in zip(alone, answer.results, shown["results"], strict=True):
            assert list(ours.prediction.outputs) == list(expected.outputs)
            assert ours.prediction.digest == expected.digest == theirs["digest"]
            assert (expected.task_id, expected.version) == (theirs["task"], theirs["version"])
        values = [output.value.value for output in alone[0].outputs]
        assert [output["value"] for output in shown["results"][0]["outputs"]] == values


HEADS: dict[str, tuple[dict[str, Any], str]] = {
    "mood": ({"kind": "classify", "labels": ["a", "b"]}, "classification"),
    "topics": ({"kind": "classify", "labels": ["a", "b"], "multi_label": True}, "classification"),
    "score": ({"kind": "regress", "pooling": "mean"}, "value"),
    "names": ({"kind": "tag", "labels": ["O", "B-x", "I-x"]}, "tags"),
    "vectors": ({"kind": "embed"}, "embedding"),
    "reply": ({"kind": "generate"}, "text"),
}


async def test_tasks_of_every_head_answer_one_text_in_one_call(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        for number, (task, (head, _)) in enumerate(HEADS.items()):
            publish(registry_of(server), task, seed=number, head=head)
        alone = {task: await rpc.predict(task, "Zoe went home") for task in HEADS}
        answer = await many(rpc, list(HEADS), "Zoe went home")
        _, body = await post(server, {"input": "Zoe went home", "tasks": list(HEADS)})
        for result, shown in zip(answer.results, body["results"], strict=True):
            output = result.prediction.outputs[0]
            assert output.WhichOneof("output") == HEADS[result.task_id][1]
            assert output == alone[result.task_id].outputs[0]
            assert shown["task"] == result.task_id
            assert shown["digest"] == result.prediction.digest


async def test_all_rows_of_all_tasks_reach_the_engine_in_one_step(tmp_path: Path) -> None:
    engine = HeldEngine(is_holding=False)
    async with running(tmp_path, engine) as server, grpc_client(server) as rpc:
        tasks = [f"task{number}" for number in range(5)]
        for number, task in enumerate(tasks):
            publish(registry_of(server), task, seed=number)
        await many(rpc, tasks, "warm")
        engine.is_holding = True
        call = asyncio.create_task(many(rpc, tasks, "a good day", "a bad one"))
        await until(lambda: engine.held)
        rows = engine.held[0][1].rows
        assert len(rows) == 10
        assert len({row.slot for row in rows}) == 5
        engine.release()
        await call


async def test_a_task_that_fails_fails_alone_with_its_own_problem(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        publish(registry_of(server), "mood")
        refs = ["nothing", "mood", "mood@9", "../x"]
        codes = ["unknown_task", None, "unknown_version", "bad_name"]
        answer = await many(rpc, refs, "good")
        status, body = await post(server, {"input": "good", "tasks": refs})
        assert status == 200
        assert [result.task_id for result in answer.results] == refs
        for ref, code, ours, theirs in zip(
            refs, codes, answer.results, body["results"], strict=True
        ):
            assert theirs["task"] == ref
            assert ours.error.code == (code or "")
            assert theirs.get("error", {}).get("code") == code
        assert body["results"][0]["error"]["status"] == 404
        assert "nothing" in body["results"][0]["error"]["detail"]
        assert "label" in body["results"][1]["outputs"][0]


async def test_a_task_whose_weights_do_not_load_fails_alone(tmp_path: Path) -> None:
    engine = HeldEngine(is_holding=False)
    async with running(tmp_path, engine) as server:
        publish(registry_of(server), "mood", seed=1)
        await post(server, {"input": "good", "tasks": ["mood"]})
        publish(registry_of(server), "cold", seed=2)
        engine.inner.broken[Load] = OutOfMemory("no room")
        _, body = await post(server, {"input": "good", "tasks": ["cold", "mood"]})
        assert body["results"][0]["error"]["code"] == "out_of_memory"
        assert "label" in body["results"][1]["outputs"][0]


async def test_where_no_task_could_answer_the_call_as_a_whole_can_be_tried_again(
    tmp_path: Path,
) -> None:
    engine = HeldEngine()
    async with running(tmp_path, engine) as server:
        for number in range(2):
            publish(registry_of(server), f"task{number}", seed=number)
        body = {"input": "good", "tasks": ["task0", "task1"]}
        call = asyncio.create_task(post(server, body))
        await until(lambda: engine.held)
        engine.die(EngineGone())
        status, problem = await call
        assert (status, problem["code"]) == (503, "engine_gone")


async def test_a_bad_input_fails_alone_in_every_task(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        publish(registry_of(server), "one", seed=1)
        publish(registry_of(server), "two", seed=2)
        _, body = await post(server, {"inputs": ["good", ""], "tasks": ["one", "two"]})
        for result in body["results"]:
            assert "label" in result["outputs"][0]
            assert result["outputs"][1]["error"]["code"] == "empty_input"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"tasks": ["mood"]}, "one of input and inputs"),
        ({"tasks": ["mood"], "input": "a", "inputs": ["a"]}, "one of input and inputs"),
        ({"tasks": [], "input": "a"}, "names no tasks"),
        ({"tasks": ["mood"], "inputs": []}, "no inputs"),
        ({"tasks": "mood", "input": "a"}, "not a predict call"),
        ({"tasks": ["mood"], "input": "a", "parameters": {"loud": 1}}, "no parameter 'loud'"),
        ({"tasks": ["mood"] * 3, "inputs": ["a"] * 3}, "9 inputs"),
        ({"tasks": ["mood"], "input": "a", "tenant": "b"}, "tenant"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_a_call_that_makes_no_sense_is_refused_as_a_whole(
    tmp_path: Path, body: dict[str, Any], words: str
) -> None:
    async with running(tmp_path, max_inputs_per_call=8) as server:
        publish(registry_of(server), "mood")
        status, problem = await post(server, body)
        assert status == 400
        assert words in problem["detail"]


async def test_parameters_hold_for_every_task(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        publish(registry_of(server), "mood")
        parameters = Struct()
        parameters.update({"raw_scores": True})
        request = predictor_pb2.PredictManyRequest(
            task_ids=["mood"], inputs=[predictor_pb2.Input(text="good")], parameters=parameters
        )
        answer = await rpc.predictor.PredictMany(request)
        scores = answer.results[0].prediction.outputs[0].classification.scores
        assert sum(scores.values()) != pytest.approx(1)
        request.parameters.update({"loud": True})
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await rpc.predictor.PredictMany(request)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_caller_who_hangs_up_takes_the_rows_of_every_task_along(tmp_path: Path) -> None:
    engine = HeldEngine()
    async with running(tmp_path, engine) as server, grpc_client(server) as rpc:
        for number in range(2):
            publish(registry_of(server), f"task{number}", seed=number)
        first = asyncio.create_task(many(rpc, ["task0"], "first"))
        await until(lambda: engine.held)
        second = asyncio.create_task(many(rpc, ["task0", "task1"], "second"))
        queue = server.parts.dispatch.queue
        await until(lambda: queue.num_rows == 2)
        second.cancel()
        await until(lambda: queue.num_rows == 0)
        engine.release_all()
        await first
        await until(lambda: server.parts.dispatch.residency.num_leases == 0)


async def test_who_is_late_is_waited_for_only_so_long() -> None:
    together = CallBarrier(num_calls=2, patience_s=0.01)
    async with asyncio.timeout(5):
        await together.arrive()
        await together.arrive()
    together.close()
