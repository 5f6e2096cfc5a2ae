"""Several adapters of one tenant on one request, over both transports, with the fake engine."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from adapterd.v1 import predictor_pb2
from adapterd.v1.private_pool import Struct
from engine.port import Compose, Unload
from engine.testing.fake_engine import FakeEngine
from server.dispatch.compositions import Compositions, composed_digest
from server.errors import Overloaded
from server.main import Server
from tests.server.build import grpc_client, http_client, publish, registry_of, running
from tests.server.dispatching import DispatchEnv

INPUTS = ["a good day", "a bad day"]


async def ask(server: Server, ref: str, **parameters: Any) -> tuple[int, dict[str, Any]]:
    body = {"inputs": INPUTS, "parameters": {"raw_scores": True, **parameters}}
    async with http_client(server) as http:
        answer = await http.post(f"/v1/tasks/{ref}/predict", json=body)
        return answer.status_code, answer.json()


def scores(answer: dict[str, Any]) -> list[dict[str, float]]:
    return [output["scores"] for output in answer["outputs"]]


async def test_a_composition_is_the_weighted_sum_and_names_every_version(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        mood = publish(registry_of(server), "mood", seed=1)
        spam = publish(registry_of(server), "spam", seed=2)
        parts = [{"ref": "mood", "weight": 0.25}, {"ref": "spam@1", "weight": -2}]
        status, both = await ask(server, "mood", compose=parts)
        assert status == 200
        alone = [scores((await ask(server, ref))[1]) for ref in ("mood", "spam")]
        for together, one, two in zip(scores(both), *alone, strict=True):
            for label, score in together.items():
                assert score == pytest.approx(0.25 * one[label] - 2 * two[label], abs=1e-5)
        assert (both["task"], both["version"], both["digest"]) == ("mood", 1, mood.digest)
        assert both["composed"] == [
            {"task": "mood", "version": 1, "digest": mood.digest, "weight": 0.25},
            {"task": "spam", "version": 1, "digest": spam.digest, "weight": -2.0},
        ]


async def test_a_call_without_a_composition_names_none(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        publish(registry_of(server), "mood")
        assert "composed" not in (await ask(server, "mood"))[1]


async def test_grpc_composes_as_http_does(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        publish(registry_of(server), "mood", seed=1)
        publish(registry_of(server), "spam", seed=2)
        parts = [{"ref": "spam", "weight": 0.5}, {"ref": "mood"}]
        _, over_http = await ask(server, "mood", compose=parts)
        parameters = Struct()
        parameters.update({"compose": parts, "raw_scores": True})
        inputs = [predictor_pb2.Input(text=text) for text in INPUTS]
        request = predictor_pb2.PredictRequest(task_id="mood", inputs=inputs, parameters=parameters)
        over_grpc = await rpc.predictor.Predict(request)
        assert [dict(o.classification.scores) for o in over_grpc.outputs] == scores(over_http)
        assert [(c.task_id, c.version, c.weight) for c in over_grpc.composed] == [
            ("spam", 1, 0.5), ("mood", 1, 1.0),
        ]  # fmt: skip


@pytest.mark.survival("B2")
async def test_another_tenants_adapter_is_no_part_of_a_composition(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        publish(registry_of(server), "mood")
        publish(registry_of(server), "secret", tenant="other", seed=3)
        status, problem = await ask(server, "mood", compose=[{"ref": "secret"}])
        assert (status, problem["code"]) == (404, "unknown_task")


async def test_adapters_that_do_not_compose_are_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        publish(registry_of(server), "mood")
        publish(registry_of(server), "three", labels=["a", "b", "c"], seed=3)
        status, problem = await ask(server, "mood", compose=[{"ref": "three"}])
        assert (status, problem["code"]) == (422, "cannot_compose")
        assert (await ask(server, "mood"))[0] == 200


@pytest.mark.parametrize(
    ("compose", "words"),
    [
        ([], "a list of objects"),
        ("mood", "a list of objects"),
        ([{"ref": "mood"}] * 9, "at most 8"),
        (["mood"], "an object with a ref"),
        ([{"weight": 1}], "by its ref"),
        ([{"ref": "mood", "scale": 1}], "a ref and a weight"),
        ([{"ref": "mood", "weight": "1"}], "must be a number"),
        ([{"ref": "mood", "weight": 1e9}], "from -100 to 100"),
    ],
    ids=lambda value: None,
)
async def test_a_composition_that_makes_no_sense_is_refused_in_words(
    tmp_path: Path, compose: Any, words: str
) -> None:
    async with running(tmp_path) as server:
        publish(registry_of(server), "mood")
        status, problem = await ask(server, "mood", compose=compose)
        assert (status, problem["code"]) == (400, "bad_request")
        assert words in problem["detail"]


async def test_a_composition_is_made_again_after_the_engine_was_replaced(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as server:
        publish(registry_of(server), "mood", seed=1)
        publish(registry_of(server), "spam", seed=2)
        parts = [{"ref": "mood"}, {"ref": "spam"}]
        before = await ask(server, "mood", compose=parts)
        engine.die()
        after = await ask(server, "mood", compose=parts)
        assert scores(before[1]) == scores(after[1])


async def test_compositions_nobody_uses_do_not_pile_up(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as server:
        publish(registry_of(server), "mood")
        for number in range(40):
            await ask(server, "mood", compose=[{"ref": "mood", "weight": number / 100}])
        made = [step.digest for step in engine.steps if isinstance(step, Compose)]
        gone = [step.digest for step in engine.steps if isinstance(step, Unload)]
        assert len(made) == 40
        assert set(made) - set(gone) == set(made[-16:])
        assert server.parts.dispatch.residency.num_leases == 0


@pytest.mark.survival("D3")
async def test_one_tenants_compositions_push_out_no_others(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    made = Compositions(
        port=dispatch_env.engine, residency=dispatch_env.residency, forget=dispatch_env.slots.forget
    )
    mood = dispatch_env.version()
    other = replace(mood, tenant="globex")
    (await made.acquire(other, [(other, 0.5)])).release()
    for number in range(1, 60):
        (await made.acquire(mood, [(mood, float(number))])).release()
    assert composed_digest(other.digest, {other.digest: 0.5}) in dispatch_env.engine.inner.loaded


@pytest.mark.survival("C7")
async def test_a_tenant_uses_so_many_compositions_at_once_and_no_more(tmp_path: Path) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    made = Compositions(
        port=dispatch_env.engine, residency=dispatch_env.residency, forget=dispatch_env.slots.forget
    )
    mood = dispatch_env.version()
    held = [await made.acquire(mood, [(mood, float(number))]) for number in range(32)]
    with pytest.raises(Overloaded, match="32 of your compositions"):
        await made.acquire(mood, [(mood, 99.0)])
    held[0].release()
    (await made.acquire(mood, [(mood, 99.0)])).release()
    for lease in held:
        lease.release()
    assert dispatch_env.residency.num_leases == 0


async def test_a_composition_is_not_unloaded_between_being_made_and_being_leased(
    tmp_path: Path,
) -> None:
    dispatch_env = DispatchEnv(tmp_path)
    made = Compositions(
        port=dispatch_env.engine, residency=dispatch_env.residency, forget=dispatch_env.slots.forget
    )
    mood = dispatch_env.version()
    for number in range(16):
        (await made.acquire(mood, [(mood, float(number))])).release()
    # the new one pushes out the oldest, which is asked for again at the same moment
    leases = await asyncio.gather(*(made.acquire(mood, [(mood, w)]) for w in (16.0, 0.0)))
    assert {lease.digest for lease in leases} <= set(dispatch_env.engine.inner.loaded)
    again = await asyncio.gather(*(made.acquire(mood, [(mood, w)]) for w in (17.0, 18.0, 16.0)))
    assert {lease.digest for lease in again} <= set(dispatch_env.engine.inner.loaded)
    assert {lease.digest for lease in leases} <= set(dispatch_env.engine.inner.loaded)


async def test_an_unknown_composition_error_reaches_grpc_with_its_code(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        publish(registry_of(server), "mood")
        publish(registry_of(server), "three", labels=["a", "b", "c"], seed=3)
        parameters = Struct()
        parameters.update({"compose": [{"ref": "three", "weight": 1}]})
        request = predictor_pb2.PredictRequest(
            task_id="mood", inputs=[predictor_pb2.Input(text="x")], parameters=parameters
        )
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await rpc.predictor.Predict(request)
        assert dict(refused.value.trailing_metadata() or ())["adapterd-code"] == "cannot_compose"
