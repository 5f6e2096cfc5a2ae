"""Another process holds the registry's database: a backup, a long transaction."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.server.build import http_client, publish, registry_of, running


@pytest.mark.survival("G6")
async def test_tasks_are_answered_while_another_holds_the_registry_s_database(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        for task in ("known", "new"):
            publish(registry_of(server), task)

        async def asked(task: str) -> int:
            answer = await http.post(f"/v1/tasks/{task}/predict", json={"inputs": ["x"]})
            return answer.status_code

        assert await asked("known") == 200
        with closing(sqlite3.connect(tmp_path / "adapterd.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            assert await asked("known") == 200
            assert await asked("new") == 200
            assert (await http.get("/v1/tasks")).status_code == 200
            other.rollback()
        moved = await http.put("/v1/tasks/known/aliases/canary", json={"version": 1})
        assert moved.status_code == 200
