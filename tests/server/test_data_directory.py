"""One data directory: copied while in use, as docs/operations.md says, and used by two servers."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from adapterd.v1 import adapters_pb2
from server.errors import StartFailed
from tests.documents.pages import ROOT, blocks
from tests.server.build import grpc_client, http_client, publish, registry_of, running


def backup_script() -> str:
    page = blocks(ROOT / "docs" / "operations.md", "python")
    (script,) = [code for _, code in page if "source.backup(copy)" in code]
    return script


async def back_up(directory: Path) -> None:
    command = [sys.executable, "-c", backup_script()]
    await asyncio.to_thread(
        subprocess.run, command, cwd=directory, check=True, env={**os.environ, "TZ": "UTC"}
    )


async def test_a_copy_made_while_versions_are_published_has_all_that_it_names(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "adapterd-data") as server:
        publish(registry_of(server), "mood", promote=True)
        copying = asyncio.create_task(back_up(tmp_path))
        seed = 1
        while not copying.done():
            await asyncio.to_thread(publish, registry_of(server), "mood", seed=seed)
            seed += 1
        await copying
    async with running(tmp_path / "backup") as restored, grpc_client(restored) as rpc:
        listed = await rpc.adapters.ListVersions(adapters_pb2.ListVersionsRequest(task_id="mood"))
        numbers = sorted(version.version for version in listed.versions)
        assert numbers == list(range(1, len(numbers) + 1))
        for number in numbers:
            assert (await rpc.predict(f"mood@{number}", "a")).version == number


async def test_a_copy_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    async with running(tmp_path / "adapterd-data") as server:
        publish(registry_of(server), "mood")
        await back_up(tmp_path)
    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "backup").rglob("*")}
    assert modes == {0}


async def test_a_promotion_on_one_server_is_used_by_another_on_the_same_directory(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as one, running(tmp_path) as other:
        publish(registry_of(one), "mood", promote=True)
        publish(registry_of(one), "mood", seed=1)
        async with http_client(one) as http, grpc_client(other) as rpc:
            assert (await rpc.predict("mood", "a")).version == 1
            await http.put("/v1/tasks/mood/aliases/production", json={"version": 2})
            assert (await rpc.predict("mood", "a")).version == 2


@pytest.mark.parametrize("database", ["jobs.db", "registry/registry.db"])
async def test_a_newer_schema_stops_the_start_and_both_numbers_are_named(
    tmp_path: Path, database: str
) -> None:
    async with running(tmp_path):
        pass
    with sqlite3.connect(tmp_path / database) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StartFailed, match=r"schema 99.*\d"):
        async with running(tmp_path):
            pass
