"""A version's report over both transports: the page, the lineage, and versions without one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapterd.v1 import adapters_pb2
from server.main import Server
from tests.browser import browse
from tests.server.build import grpc_client, http_client, publish, registry_of, running
from tests.trainer.report.sample import HOSTILE, whole_report
from trainer.pipeline.reporting import REPORT
from trainer.report.page.page import content_security_policy

WHOLE = {"error": "a <b>sentence</b>", "long": "part"}
SUMMARY = {"error": "a <b>sentence</b>"}


PAGE = "/v1/tasks/mood/versions/1/report"


def trained(server: Server, whole: dict[str, Any] = WHOLE) -> Any:
    """A version as a training leaves it: a summary in its lineage, the whole beside it."""
    return publish(
        registry_of(server),
        "mood",
        lineage={"report": SUMMARY},
        beside={REPORT: json.dumps(whole).encode()},
    )


async def test_the_page_is_served_at_the_version_under_a_strict_policy(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        trained(server)
        answer = await http.get(PAGE)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["content-security-policy"] == content_security_policy()
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "<h1>mood@1</h1>" in answer.text
        assert "a &lt;b&gt;sentence&lt;/b&gt;" in answer.text


@pytest.mark.timeout(120)
async def test_a_browser_shows_the_plots_under_the_policy_and_runs_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        trained(server, whole_report(label=HOSTILE, text=HOSTILE))
        dom = await browse(str(http.base_url.join(PAGE)), tmp_path / "profile", "--dump-dom")
    assert "<title>mood@1 · report</title>" in dom
    assert dom.count("<svg") > 6
    assert "<polyline" in dom


@pytest.mark.timeout(120)
async def test_a_browser_paints_the_page(tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    async with running(tmp_path) as server, http_client(server) as http:
        trained(server, whole_report())
        url = str(http.base_url.join(PAGE))
        await browse(url, tmp_path / "profile", f"--screenshot={picture}")
    # a blank picture of this size packs into a few kilobytes
    assert picture.stat().st_size > 60_000


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
        answer = await http.get(PAGE)
        assert (answer.status_code, answer.json()["code"]) == (404, "no_report")
        assert "mood@1 has no report" in answer.json()["detail"]
        missing = await http.get("/v1/tasks/mood/versions/2/report")
        assert missing.json()["code"] == "unknown_version"
