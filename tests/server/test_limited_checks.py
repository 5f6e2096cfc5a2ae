"""Checks of files that take too much: refused as what they are, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from server.main import Server
from server.pools.work_pool import WorkPool
from tests.server.build import http_client, running, until
from tests.trainer.build import jsonl, mood_rows

MIB = 2**20
LARGE = b"\n".join(
    json.dumps({"text": f"row {i} " + "word " * 2000, "label": "ab"[i % 2]}).encode()
    for i in range(12_000)
)


async def uploaded(http: httpx.AsyncClient, content: bytes) -> str:
    form = {"file": ("rows.jsonl", content)}
    answer = await http.post("/v1/files", files=form, data={"purpose": "fine-tune"})
    return str(answer.json()["id"])


@pytest.mark.survival("F2")
async def test_a_file_that_needs_too_much_memory_is_refused_as_such(tmp_path: Path) -> None:
    async with running(tmp_path, check_bytes=64 * MIB) as server, http_client(server) as http:
        file_id = await uploaded(http, LARGE)
        found = (await http.post(f"/v1/files/{file_id}/check", json={"head": "classify"})).json()
        assert found["ok"] is False
        assert [each["code"] for each in found["findings"]] == ["too_much_memory"]
        job = {"task": "mood", "file_id": file_id, "head": "classify"}
        refused = await http.post("/v1/jobs", json=job)
        assert (refused.status_code, refused.json()["code"]) == (422, "too_much_memory")
        assert "64 MiB" in refused.json()["detail"]
        small = await uploaded(http, jsonl(mood_rows()))
        assert (await http.post("/v1/jobs", json={**job, "file_id": small})).status_code == 201


@pytest.mark.survival("C10")
async def test_a_caller_who_hangs_up_ends_the_check(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        file_id = await uploaded(http, LARGE)
        checking = asyncio.ensure_future(http.post(f"/v1/files/{file_id}/check", json={}))
        await until(lambda: checks(server).num_running)
        checking.cancel()
        await until(lambda: not checks(server).num_running)


def checks(server: Server) -> WorkPool:
    return server.parts.pools.checks
