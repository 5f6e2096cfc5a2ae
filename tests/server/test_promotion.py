"""A version that its report calls worse than production is promoted only with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from adapterd.v1 import adapters_pb2
from adapters_registry.registry import Registry
from adapters_registry.values import Alias, Version
from tests.server.build import grpc_client, http_client, publish, registry_of, running

WORDS = "Worse than version 1 (production): accuracy 0.700 against 0.900; p = 0.01."
PATH = "/v1/tasks/mood/aliases/production"


def worse_than(production: Version) -> dict[str, Any]:
    """The lineage of a version whose report compared it with production."""
    verdict = {"decision": "do_not_ship", "reasons": [WORDS], "worse_than_production": True}
    compared = {"version": production.number, "digest": production.digest}
    comparison = {"kind": "production", "words": WORDS}
    report = {"verdict": verdict, "production": compared, "comparisons": [comparison]}
    return {"report": report}


def publish_two(registry: Registry) -> None:
    first = publish(registry, "mood")
    publish(registry, "mood", seed=1, lineage=worse_than(first))


async def test_a_worse_version_is_refused_with_the_figures(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http, grpc_client(server) as rpc:
        publish_two(registry_of(server))
        answer = await http.put(PATH, json={"version": 2})
        assert (answer.status_code, answer.json()["code"]) == (409, "worse_than_production")
        assert "accuracy 0.700 against 0.900" in answer.json()["detail"]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await rpc.adapters.Promote(adapters_pb2.PromoteRequest(task_id="mood", version=2))
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        aliases = (await http.get("/v1/tasks/mood/aliases")).json()["aliases"]
        assert [alias["version"] for alias in aliases] == [1]


async def test_an_override_moves_the_alias_and_its_reason_stays_in_the_history(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as server, http_client(server) as http, grpc_client(server) as rpc:
        publish_two(registry_of(server))
        body = {"version": 2, "override": True, "reason": "new labels"}
        assert (await http.put(PATH, json=body)).json()["version"] == 2
        events = (await http.get(f"{PATH}/history")).json()["events"]
        assert [(event["action"], event["reason"]) for event in events] == [
            ("publish", ""), ("promote", "new labels"),
        ]  # fmt: skip
        request = adapters_pb2.AliasHistoryRequest(task_id="mood")
        assert (await rpc.adapters.AliasHistory(request)).events[1].reason == "new labels"


@pytest.mark.parametrize(
    "body",
    [
        {"override": True},
        {"override": True, "reason": "  "},
        {"override": True, "reason": "x" * 1001},
        {"override": True, "reason": "a\0"},
        {"reason": "no override"},
    ],
)
async def test_an_override_needs_a_reason_and_a_reason_an_override(
    tmp_path: Path, body: dict[str, Any]
) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        publish_two(registry_of(server))
        assert (await http.put(PATH, json={"version": 2, **body})).status_code == 400


async def test_a_verdict_on_another_production_gates_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        registry = registry_of(server)
        publish_two(registry)
        publish(registry, "mood", seed=2, promote=True)
        assert (await http.put(PATH, json={"version": 2})).status_code == 200


async def test_other_aliases_are_not_gated(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        publish_two(registry_of(server))
        path = "/v1/tasks/mood/aliases/canary"
        assert (await http.put(path, json={"version": 2})).status_code == 200


async def test_the_verdict_that_gates_is_on_what_the_promotion_replaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        registry = registry_of(server)
        first = publish(registry, "mood")
        publish(registry, "mood", seed=1, promote=True)
        publish(registry, "mood", seed=2, lineage=worse_than(first))
        promote, moves = Registry.promote, [1]

        def promote_late(self: Registry, *arguments: Any) -> Alias:
            if moves:  # somebody else is quicker, once
                promote(self, "default", "mood", moves.pop())
            return promote(self, *arguments)

        monkeypatch.setattr(Registry, "promote", promote_late)
        answer = await http.put(PATH, json={"version": 3})
        assert (answer.status_code, answer.json()["code"]) == (409, "worse_than_production")
        assert registry.resolve("default", "mood").number == 1
