"""Inputs of three shapes, answers of every head, and long texts, over both transports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from adapterd.v1 import predictor_pb2
from adapterd.v1.private_pool import Struct
from engine.port import Predict
from engine.testing.fake_engine import FakeEngine
from server.main import Server
from tests.server.build import (
    Grpc,
    grpc_client,
    http_client,
    publish,
    registry_of,
    running,
)

SHAPES: dict[str, tuple[Any, predictor_pb2.Input]] = {
    "text": ("a", predictor_pb2.Input(text="a")),
    "pair": (
        {"text": "a", "text_pair": "b"},
        predictor_pb2.Input(pair=predictor_pb2.Pair(text="a", text_pair="b")),
    ),
    "question": (
        {"question": "who?", "context": "Zoe is here"},
        predictor_pb2.Input(
            question_context=predictor_pb2.QuestionContext(question="who?", context="Zoe is here")
        ),
    ),
}
CLASSIFY = {"kind": "classify", "labels": ["no", "yes"]}
HEADS: dict[str, tuple[dict[str, Any], str, str]] = {
    "pairs": ({**CLASSIFY, "input": "pair"}, "pair", "classification"),
    "several": ({**CLASSIFY, "multi_label": True, "threshold": 0.01}, "text", "classification"),
    "span": ({"kind": "span"}, "question", "span"),
    "embed": ({"kind": "embed"}, "text", "embedding"),
    "rerank": ({"kind": "rerank"}, "pair", "relevance"),
    "tag": ({"kind": "tag", "labels": ["O", "B-x", "I-x"]}, "text", "tags"),
}


async def ask(server: Server, task: str, *inputs: Any, **parameters: Any) -> list[dict[str, Any]]:
    body = {"inputs": list(inputs), "parameters": parameters}
    async with http_client(server) as http:
        answer = await http.post(f"/v1/tasks/{task}/predict", json=body)
    assert answer.status_code == 200, answer.text
    outputs: list[dict[str, Any]] = answer.json()["outputs"]
    return outputs


async def ask_grpc(
    rpc: Grpc, task: str, *inputs: predictor_pb2.Input, **parameters: Any
) -> list[predictor_pb2.Output]:
    said = Struct()
    said.update(parameters)
    request = predictor_pb2.PredictRequest(task_id=task, inputs=inputs, parameters=said)
    return list((await rpc.predictor.Predict(request)).outputs)


@pytest.mark.parametrize("name", HEADS)
async def test_both_transports_give_every_head_s_answer(tmp_path: Path, name: str) -> None:
    head, shape, field = HEADS[name]
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        publish(registry_of(server), "task", head=head)
        plain, message = SHAPES[shape]
        (first,) = await ask(server, "task", plain)
        (second,) = await ask_grpc(rpc, "task", message)
        assert second.WhichOneof("output") == field
        found = MessageToDict(
            getattr(second, field),
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
        if field == "classification":
            assert found.pop("multi_label") is (name == "several")
        if name == "pairs":
            assert found.pop("labels") == []
        if name == "embed":
            assert found.pop("values") == []
        assert _numbers(found) == pytest.approx(_numbers(first))
        assert set(found) == set(first)


@pytest.mark.parametrize("wanted", ["text", "pair", "question"])
@pytest.mark.parametrize("given", ["text", "pair", "question"])
async def test_an_input_of_another_shape_than_the_task_s_fails_alone(
    tmp_path: Path, wanted: str, given: str
) -> None:
    heads = {"text": CLASSIFY, "pair": {**CLASSIFY, "input": "pair"}, "question": {"kind": "span"}}
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        publish(registry_of(server), "task", head=heads[wanted])
        outputs = await ask(server, "task", SHAPES[given][0], SHAPES[wanted][0])
        rows = await ask_grpc(rpc, "task", SHAPES[given][1], SHAPES[wanted][1])
        codes = [output.get("error", {}).get("code") for output in outputs]
        expected = None if given == wanted else "wrong_input"
        assert codes == [expected, None]
        assert [row.error.code or None for row in rows] == codes
        if expected:
            sentence = outputs[0]["error"]["message"]
            words = {"text": "one text", "pair": "a pair", "question": "a question"}
            assert sentence.index(words[wanted]) < sentence.index(words[given])


@pytest.mark.parametrize(
    "item",
    [
        {"text": "a", "question": "b"},
        {"question": "a"},
        {"context": "a"},
        {"text_pair": "a"},
        {"text": "a", "text_pair": "b", "more": "c"},
    ],
)
async def test_an_object_of_no_shape_fails_alone(tmp_path: Path, item: Any) -> None:
    async with running(tmp_path) as server:
        publish(registry_of(server), "mood")
        outputs = await ask(server, "mood", item, "a")
        assert outputs[0]["error"]["code"] == "not_text"
        assert "label" in outputs[1]


async def test_a_long_text_is_tagged_whole_through_several_rows(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as server:
        publish(registry_of(server), "names", head=HEADS["tag"][0])
        text = "Zoe was here. " * 40
        (long,) = await ask(server, "names", text)
        rows = [len(step.rows) for step in engine.steps if isinstance(step, Predict)]
        assert sum(rows) > 1
        assert max(e["end"] for e in long["entities"]) > len(text) - 30
        assert all(text[e["start"] : e["end"]] == e["text"] for e in long["entities"])
        (short,) = await ask(server, "names", text[:70])
        last = short["entities"][-1]["start"]
        assert [e for e in long["entities"] if e["end"] < last] == [
            e for e in short["entities"] if e["end"] < last
        ]


async def test_a_question_that_leaves_no_room_for_its_context_is_too_long(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        publish(registry_of(server), "answers", head={"kind": "span"})
        item = {"question": "why " * 60, "context": "because " * 60}
        (output,) = await ask(server, "answers", item)
        assert output["error"]["code"] == "input_too_long"


async def test_an_embedding_is_cut_and_normalised_as_asked(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        publish(registry_of(server), "vector", head={"kind": "embed"})
        (cut,) = await ask(server, "vector", "a text", dimensions=8)
        assert len(cut["embedding"]) == 8
        (row,) = await ask_grpc(rpc, "vector", SHAPES["text"][1], dimensions=8, normalize=False)
        assert len(row.embedding.embedding) == 8
        (output,) = await ask(server, "vector", "a text", dimensions=10_000)
        assert output["error"]["code"] == "bad_answering"


@pytest.mark.parametrize("parameters", [{"dimensions": 8}, {"normalize": True}])
async def test_what_shapes_embeddings_is_refused_elsewhere(
    tmp_path: Path, parameters: dict[str, Any]
) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        publish(registry_of(server), "mood")
        body = {"inputs": ["a"], "parameters": parameters}
        answer = await http.post("/v1/tasks/mood/predict", json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
        assert "is for embeddings; mood has the head classify" in answer.json()["detail"]


@pytest.mark.parametrize("value", [0, 1.5, "8", True])
async def test_dimensions_are_counted(tmp_path: Path, value: Any) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        publish(registry_of(server), "vector", head={"kind": "embed"})
        body = {"inputs": ["a"], "parameters": {"dimensions": value}}
        assert (await http.post("/v1/tasks/vector/predict", json=body)).status_code == 400


def _numbers(value: Any) -> Any:
    """Protobuf writes whole numbers of 64 bits as strings; nested values flat, for approx."""
    if isinstance(value, dict):
        pairs = [(f"{k}.{n}", v) for k, each in value.items() for n, v in _flat(each).items()]
        return dict(pairs)
    return value


def _flat(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {f"{k}.{n}": v for k, each in value.items() for n, v in _flat(each).items()}
    if isinstance(value, list):
        return {f"{i}.{n}": v for i, each in enumerate(value) for n, v in _flat(each).items()}
    if isinstance(value, str) and value.isdigit():
        return {"": int(value)}
    return {"": value}
