"""What lies in the data directory is its owner's alone, whatever the umask is."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters_registry.storage.shared_state import DATABASE_FILE
from engine.atomic_files import atomic_directory, write_atomic
from server.config import Settings
from server.data_directory import Data
from tests.server.build import http_client, publish, registry_of, running
from tests.server.test_jobs import rows, upload


@pytest.fixture(autouse=True)
def generous() -> Iterator[None]:
    """The umask of whoever lets all read and write."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(directory: Path) -> dict[str, str]:
    """Of everything that others may do something with."""
    found = [directory, *directory.rglob("*")]
    return {
        str(path.relative_to(directory)): oct(stat.S_IMODE(path.stat().st_mode))
        for path in found
        if stat.S_IMODE(path.stat().st_mode) & 0o077
    }


async def test_nothing_that_a_server_keeps_is_readable_by_others(tmp_path: Path) -> None:
    data = tmp_path / "a" / "data"
    async with running(data, train=True) as server, http_client(server) as http:
        http.timeout = 60.0
        publish(registry_of(server), "mood", beside={"report": b"{}"})
        file = await upload(http, rows())
        body = {"task": "mood", "file_id": file["id"], "settings": {"epochs": 1, "seeds": 1}}
        assert (await http.post("/v1/jobs", json=body)).status_code == 201
        names = {path.name for path in data.rglob("*")}
        assert {DATABASE_FILE, f"{DATABASE_FILE}-wal", "uploads", "blobs"} <= names
        assert modes(data) == {}
    assert stat.S_IMODE(data.parent.stat().st_mode) == 0o700


def test_what_an_earlier_release_left_readable_is_closed_at_opening(tmp_path: Path) -> None:
    data = tmp_path / "data"
    Data.open(Settings(data_dir=data)).close()
    (data / "blobs" / "file-1").write_bytes(b"a row")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"of another")
    (data / "link").symlink_to(elsewhere)
    for path in [data, *(each for each in data.rglob("*") if not each.is_symlink())]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    Data.open(Settings(data_dir=data)).close()
    (data / "link").unlink()
    assert modes(data) == {}
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o666


def test_checkpoints_are_private_file_by_file(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with atomic_directory(tmp_path / "1") as part:
        (part / "slot").write_bytes(b"weights")
    write_atomic(tmp_path / "state.json", b"{}")
    write_atomic(tmp_path / "state.json", b"[]")
    assert modes(tmp_path) == {}
