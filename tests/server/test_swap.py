"""Hot swap: versions move under load, and every answer is one version's, whole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from engine.port import Unload
from engine.testing.fake_engine import FakeEngine
from tests.server.build import Grpc, grpc_client, http_client, publish, registry_of, running, until

TEXTS = ["one", "two and more", "three"]
Answer = tuple[str, list[dict[str, float]]]


@pytest.mark.survival("E1")
async def test_every_answer_under_promotion_is_one_versions_own_and_none_is_lost(
    tmp_path: Path,
) -> None:
    async with (
        running(tmp_path, max_batch_tokens=64) as server,
        grpc_client(server) as rpc,
        http_client(server) as http,
    ):
        registry = registry_of(server)
        versions = [publish(registry, "mood", seed=seed) for seed in range(3)]
        alone = {v.digest: (await _ask(rpc, f"mood@{v.number}"))[1] for v in versions}
        moving = True

        async def move() -> None:
            turn = 0
            while moving:
                turn += 1
                version = 1 + turn % 3
                await http.put("/v1/tasks/mood/aliases/production", json={"version": version})

        async def call(num: int) -> list[Answer]:
            return [await _ask(rpc, "mood") for _ in range(num)]

        mover = asyncio.create_task(move())
        answers = [a for part in await asyncio.gather(*(call(15) for _ in range(8))) for a in part]
        moving = False
        await mover
        assert len(answers) == 120
        assert len({digest for digest, _ in answers}) > 1
        assert all(alone[digest] == scores for digest, scores in answers)


async def test_the_call_after_a_promotion_is_answered_by_the_new_version(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc, http_client(server) as http:
        for seed in range(2):
            publish(registry_of(server), "mood", seed=seed)
        for version in (2, 1, 2):
            moved = await http.put("/v1/tasks/mood/aliases/production", json={"version": version})
            assert moved.status_code == 200
            assert (await rpc.predict("mood", "x")).version == version


@pytest.mark.survival("E4")
async def test_deleting_a_version_unloads_it(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with (
        running(tmp_path, engine) as server,
        grpc_client(server) as rpc,
        http_client(server) as http,
    ):
        publish(registry_of(server), "mood", seed=1)
        old = publish(registry_of(server), "mood", seed=2)
        await rpc.predict("mood@2", "x")
        assert (await http.delete("/v1/tasks/mood/versions/2")).status_code == 204
        dispatch = server.parts.dispatch
        await until(lambda: old.digest not in dispatch.slots.placed.values())
        assert Unload(digest=old.digest) in engine.steps
        assert (await http.get("/v1/tasks/mood/versions/2")).status_code == 404


@pytest.mark.survival("B12")
async def test_two_movers_of_an_alias_cannot_both_win(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        for seed in range(3):
            publish(registry_of(server), "mood", seed=seed)
        path = "/v1/tasks/mood/aliases/production"
        moves: list[Callable[[], Awaitable[object]]] = [
            lambda v=v: http.put(path, json={"version": v, "expected_version": 1}) for v in (2, 3)
        ]
        answers = await asyncio.gather(*(move() for move in moves))
        assert sorted(a.status_code for a in answers) == [200, 409]  # type: ignore[attr-defined]
        lost = next(a for a in answers if a.status_code == 409)  # type: ignore[attr-defined]
        assert lost.json()["code"] == "alias_moved"  # type: ignore[attr-defined]


async def _ask(rpc: Grpc, ref: str) -> Answer:
    answer = await rpc.predict(ref, *TEXTS)
    return answer.digest, [dict(output.classification.scores) for output in answer.outputs]
