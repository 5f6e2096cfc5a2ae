"""The base answers by itself, under its own id and under `base`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import EngineError
from engine.port import BaseEmbedding, EngineInfo, Predict
from engine.testing.fake_engine import FakeEngine
from server.dispatch.entry import RowTokens
from server.main import Server
from tests.server.build import http_client, publish, registry_of, running

PREDICT = "/v1/tasks/base/predict"


class Encoder(FakeEngine):
    """A base that writes no text."""

    @property
    def info(self) -> EngineInfo:
        info = FakeEngine.info.fget(self)  # type: ignore[attr-defined]
        info.poolings.pop("generate")
        return info


async def embed(server: Server, **body: Any) -> Any:
    async with http_client(server) as http:
        return await http.post("/v1/embeddings", json={"model": "base", "input": "bc", **body})


def vector(answer: Any) -> list[float]:
    assert answer.status_code == 200, answer.text
    found: list[float] = answer.json()["data"][0]["embedding"]
    return found


async def test_the_base_embeds_under_its_id_and_under_base(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        assert vector(await embed(server)) == vector(await embed(server, model="fake"))
        answer = await embed(server)
        assert answer.headers["x-adapterd-digest"] == "f" * 64
        assert np.linalg.norm(vector(answer)) == pytest.approx(1)


async def test_an_encoder_answers_its_own_predict_calls_with_embeddings(tmp_path: Path) -> None:
    async with running(tmp_path, Encoder()) as server, http_client(server) as http:
        answer = (await http.post(PREDICT, json={"inputs": ["bc"]})).json()
        assert (answer["task"], answer["version"], answer["digest"]) == ("base", 0, "f" * 64)
        assert answer["outputs"][0]["embedding"] == pytest.approx(vector(await embed(server)))


async def test_a_base_that_writes_answers_its_own_predict_calls_with_text(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        body = {"inputs": ["bc"], "parameters": {"max_tokens": 3}}
        answer = (await http.post(PREDICT, json=body)).json()
        assert answer["outputs"][0]["finish_reason"]


@pytest.mark.survival("D4")
async def test_a_task_named_base_comes_before_the_base(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        version = publish(registry_of(server), "base")
        answer = (await http.post(PREDICT, json={"inputs": ["bc"]})).json()
        assert answer["digest"] == version.digest


async def test_a_text_longer_than_the_base_embeds_is_cut_only_where_asked(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        long = "x" * 100  # the base reads 128 tokens and embeds 64
        refused = await embed(server, input=long)
        assert refused.status_code == 400
        assert "64 tokens" in refused.json()["error"]["message"]
        cut = vector(await embed(server, input=long, truncate=True))
        assert cut == vector(await embed(server, input=long, truncate_prompt_tokens=-1))
        assert cut == vector(await embed(server, input="x" * 62))
        assert vector(await embed(server, input=long, truncate_prompt_tokens=4)) == vector(
            await embed(server, input="xx")
        )


async def test_an_input_type_names_one_of_the_bases_prompts(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        asked = vector(await embed(server, input_type="query"))
        assert asked == vector(await embed(server, input="query: bc"))
        assert vector(await embed(server, input_type="passage")) == vector(await embed(server))


async def test_a_base_that_makes_no_embeddings_says_why(tmp_path: Path) -> None:
    class Dense(FakeEngine):
        @property
        def info(self) -> EngineInfo:
            from msgspec.structs import replace

            info = FakeEngine.info.fget(self)  # type: ignore[attr-defined]
            return replace(info, embedding=BaseEmbedding(problem="it has a Dense module"))

    async with running(tmp_path, Dense()) as server:
        refused = await embed(server)
        assert refused.status_code == 400
        assert "Dense" in refused.json()["error"]["message"]


async def test_the_bare_base_takes_no_slot_and_is_nobodys_fault(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as server:
        await embed(server)
        step = next(step for step in engine.steps if isinstance(step, Predict))
        assert step.place == {}
        assert [(row.slot, row.pooling) for row in step.rows] == [(0, "mean")]
        engine.broken[Predict] = EngineError("the step failed")
        assert (await embed(server)).status_code == 500
        engine.broken.clear()
        assert vector(await embed(server))


async def test_rows_of_the_base_and_of_a_task_share_a_batch(tmp_path: Path) -> None:
    async with running(tmp_path, Encoder()) as server, http_client(server) as http:
        publish(registry_of(server), "mood")
        body = {"input": "bc", "tasks": ["mood", "base"]}
        results = (await http.post("/v1/predict", json=body)).json()["results"]
        assert results[0]["outputs"][0]["label"]
        assert results[1]["outputs"][0]["embedding"] == pytest.approx(vector(await embed(server)))


async def test_compose_needs_the_head_of_a_task(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        publish(registry_of(server), "mood")
        parameters = {"compose": [{"ref": "mood", "weight": 1.0}]}
        answer = await http.post(PREDICT, json={"inputs": ["bc"], "parameters": parameters})
        assert answer.status_code == 400
        assert "is the base" in answer.json()["detail"]


def test_a_row_asks_for_no_pooling_by_itself() -> None:
    assert RowTokens([1], [0]).pooling is None
