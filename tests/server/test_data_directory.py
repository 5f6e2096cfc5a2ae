"""One data directory: backed up while in use, and used by two servers."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from adapterd.v1 import adapters_pb2
from server.errors import StartFailed
from tests.server.build import grpc_client, http_client, publish, registry_of, running

PATIENCE_S = 20.0


async def run_command(data: Path, *arguments: str) -> None:
    code = "from adapterd.cli.app import main; main()"
    command = [sys.executable, "-c", code, *arguments, "--data-dir", str(data)]
    environment = {
        name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ
    }
    await asyncio.to_thread(subprocess.run, command, check=True, env=environment, cwd=data.parent)


@pytest.mark.survival("G9")
async def test_a_backup_made_while_versions_are_published_has_all_that_it_names(
    tmp_path: Path,
) -> None:
    data, backup, restored_data = (tmp_path / name for name in ("data", "backup", "restored"))
    async with running(data) as server:
        publish(registry_of(server), "mood", promote=True)
        copying = asyncio.create_task(run_command(data, "backup", str(backup)))
        seed = 1
        while not copying.done():
            await asyncio.to_thread(publish, registry_of(server), "mood", seed=seed)
            seed += 1
        await copying
    modes = {path.stat().st_mode & 0o077 for path in backup.rglob("*")}
    assert modes == {0}
    await run_command(restored_data, "restore", str(backup))
    async with running(restored_data) as restored, grpc_client(restored) as rpc:
        listed = await rpc.adapters.ListVersions(adapters_pb2.ListVersionsRequest(task_id="mood"))
        numbers = sorted(version.version for version in listed.versions)
        assert numbers == list(range(1, len(numbers) + 1))
        for number in numbers:
            assert (await rpc.predict(f"mood@{number}", "a")).version == number


async def test_a_promotion_on_one_server_is_followed_by_another_on_the_same_directory(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as one, running(tmp_path) as other:
        publish(registry_of(one), "mood", promote=True)
        publish(registry_of(one), "mood", seed=1)
        async with http_client(one) as http, grpc_client(other) as rpc:
            assert (await rpc.predict("mood", "a")).version == 1
            await http.put("/v1/tasks/mood/aliases/production", json={"version": 2})
            deadline = time.monotonic() + PATIENCE_S
            while (await rpc.predict("mood", "a")).version != 2:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)


@pytest.mark.survival("G7")
async def test_a_newer_schema_stops_the_start_and_both_revisions_are_named(tmp_path: Path) -> None:
    async with running(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "adapterd.db", isolation_level=None)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.execute("DELETE FROM schema_compatibility")
    with pytest.raises(StartFailed, match=r"schema 9999, which is newer .*\(0\d{3}\)"):
        async with running(tmp_path):
            pass
