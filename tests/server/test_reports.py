"""A version's report over both transports: the page, the lineage, and versions without one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from protos.adapterd.v1 import adapters_pb2
from server.main import Server
from tests.server.build import grpc_client, http_client, publish, registry_of, running
from trainer.report.page.document import policy
from trainer.reporting import REPORT

WHOLE = {"error": "a <b>sentence</b>", "long": "part"}
SUMMARY = {"error": "a <b>sentence</b>"}


def trained(server: Server) -> Any:
    """A version as a training leaves it: a summary in its lineage, the whole beside it."""
    return publish(
        registry_of(server), "mood", lineage={"report": SUMMARY},
        beside={REPORT: json.dumps(WHOLE).encode()},
    )  # fmt: skip


async def test_the_page_is_served_at_the_version_under_a_strict_policy(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        trained(server)
        answer = await http.get("/v1/tasks/mood/versions/1/report")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["content-security-policy"] == policy()
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "<h1>mood@1</h1>" in answer.text
        assert "a &lt;b&gt;sentence&lt;/b&gt;" in answer.text


async def test_the_lineage_of_a_version_has_the_whole_and_a_list_the_summary(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as server, http_client(server) as http, grpc_client(server) as rpc:
        trained(server)
        one = (await http.get("/v1/tasks/mood/versions/1")).json()
        assert one["lineage"]["report"] == WHOLE
        told = await rpc.adapters.GetVersion(adapters_pb2.GetVersionRequest(task_id="mood@1"))
        assert dict(told.lineage["report"]) == WHOLE
        (listed,) = (await http.get("/v1/tasks/mood/versions")).json()["versions"]
        assert listed["lineage"]["report"] == SUMMARY


async def test_a_version_that_was_not_trained_has_no_report(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        publish(registry_of(server), "mood")
        answer = await http.get("/v1/tasks/mood/versions/1/report")
        assert (answer.status_code, answer.json()["code"]) == (404, "no_report")
        assert "mood@1 has no report" in answer.json()["detail"]
        missing = await http.get("/v1/tasks/mood/versions/2/report")
        assert missing.json()["code"] == "unknown_version"
