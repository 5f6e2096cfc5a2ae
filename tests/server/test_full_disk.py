"""A disk that is really full, at every write: a typed answer, nothing half, and all goes on once
there is room again.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from adapterd.v1 import adapters_pb2, jobs_pb2
from engine.testing.fake_engine import write_fake_adapter
from tests.server.build import grpc_client, http_client, publish, registry_of, running, until
from tests.server.test_adapters import messages
from tests.server.test_jobs import rows, upload

pytestmark = pytest.mark.survival("G3")


@contextmanager
def small_disk(where: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own."""
    where.mkdir()
    size = f"size={megabytes}m"
    mount = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(where)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """To its last byte."""
    path = disk / "fill"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        try:
            yield
        finally:
            path.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 16) as mounted:
        yield mounted


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with small_disk(tmp_path / "temporary", 2) as mounted:
        monkeypatch.setattr(tempfile, "tempdir", str(mounted))
        yield mounted


def adapter(directory: Path, seed: int) -> list[tuple[str, tuple[str, bytes]]]:
    shutil.rmtree(directory, ignore_errors=True)
    write_fake_adapter(directory, seed=seed)
    return [("files", (each.name, each.read_bytes())) for each in sorted(directory.iterdir())]


def left_over(data: Path) -> list[str]:
    places = ("uploads", "staging", "blobs/.incoming")
    return [each.name for place in places for each in (data / place).glob("*")]


def assert_full(answer: httpx.Response) -> None:
    assert answer.status_code == 507, answer.text
    body = answer.json()
    code = body.get("code") or body["error"]["code"]
    assert code == "storage_full"


async def test_every_write_on_a_full_disk_is_answered_507_and_leaves_nothing_half(
    disk: Path, tmp_path: Path
) -> None:
    data = disk / "data"
    async with running(data) as server, http_client(server) as http:
        http.timeout = 60.0
        publish(registry_of(server), "mood")
        file = await upload(http, rows())
        job = {"task": "mood", "file_id": file["id"]}
        made = (await http.post("/v1/jobs", json=job)).json()
        spare = await upload(http, rows(80))
        stored = sorted((data / "blobs").rglob("*"))
        with filled(disk):
            form = {"file": ("a.jsonl", rows() * 200)}
            assert_full(await http.post("/v1/files", files=form, data={"purpose": "fine-tune"}))
            assert_full(
                await http.post("/v1/tasks/mood/versions", files=adapter(tmp_path / "a", 2))
            )
            alias = "/v1/tasks/mood/aliases"
            assert_full(await http.put(f"{alias}/canary", json={"version": 1}))
            assert_full(await http.post("/v1/jobs", json=job))
            assert_full(await http.delete(f"/v1/files/{spare['id']}"))
            assert_full(await http.delete("/v1/tasks/mood"))
            for verb in ("pause", "cancel"):
                assert_full(await http.post(f"/v1/jobs/{made['id']}/{verb}"))
            # what only reads goes on
            predicted = await http.post("/v1/tasks/mood/predict", json={"inputs": ["x"]})
            assert predicted.status_code == 200
            for path in ("/v1/tasks", "/v1/files", "/v1/jobs", "/health/ready"):
                assert (await http.get(path)).status_code == 200
            content = await http.get(f"/v1/files/{spare['id']}/content")
            assert content.content == rows(80)
        assert left_over(data) == []
        assert sorted((data / "blobs").rglob("*")) == stored
        assert [each["id"] for each in (await http.get("/v1/jobs")).json()["jobs"]] == [made["id"]]
        registered = await http.post("/v1/tasks/mood/versions", files=adapter(tmp_path / "a", 3))
        assert (registered.status_code, registered.json()["version"]) == (201, 2)
        assert (await http.delete(f"/v1/files/{spare['id']}")).status_code == 200
        cancelled = await http.post(f"/v1/jobs/{made['id']}/cancel")
        assert cancelled.json()["status"] == "cancelled"


async def test_a_full_disk_is_resource_exhausted_over_grpc(disk: Path, tmp_path: Path) -> None:
    async with (
        running(disk / "data") as server,
        http_client(server) as http,
        grpc_client(server) as rpc,
    ):
        http.timeout = 60.0
        publish(registry_of(server), "mood")
        file = await upload(http, rows())
        made = await http.post("/v1/jobs", json={"task": "mood", "file_id": file["id"]})
        write_fake_adapter(tmp_path / "adapter", seed=9)
        with filled(disk):
            calls: list[Any] = [
                rpc.adapters.Register(messages(tmp_path / "adapter", task_id="mood")),
                rpc.adapters.Promote(
                    adapters_pb2.PromoteRequest(task_id="mood", version=1, alias="canary")
                ),
                rpc.jobs.CancelJob(jobs_pb2.CancelJobRequest(id=made.json()["id"])),
            ]
            for call in calls:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call
                assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                trailers = dict(caught.value.trailing_metadata() or ())
                assert trailers["adapterd-code"] == "storage_full"


async def test_a_full_temporary_directory_is_no_fault_of_the_form(
    temporary: Path, tmp_path: Path
) -> None:
    async with running(tmp_path / "data") as server, http_client(server) as http:
        publish(registry_of(server), "mood")
        form = {"file": ("a.jsonl", b"x" * 3_000_000)}
        assert_full(await http.post("/v1/files", files=form, data={"purpose": "fine-tune"}))
        assert (await http.get("/v1/files")).json()["data"] == []
        with filled(temporary):
            # exports lie on the disk of the data
            assert (await http.get("/v1/tasks/mood/versions/1/export")).status_code == 200
        assert os.listdir(temporary) == []  # noqa: PTH208
        assert (await upload(http, rows()))["bytes"] == len(rows())
        assert (await http.get("/v1/tasks/mood/versions/1/export")).status_code == 200


@pytest.mark.slow
@pytest.mark.survival("G3", "G6")
async def test_a_job_waits_for_room_and_then_runs(disk: Path) -> None:
    async with running(disk / "data", train=True) as server, http_client(server) as http:
        http.timeout = 60.0
        file = await upload(http, rows())
        body = {"task": "mood", "file_id": file["id"], "settings": {"epochs": 1, "seeds": 1}}
        made = (await http.post("/v1/jobs", json=body)).json()
        await http.post(f"/v1/jobs/{made['id']}/pause")
        await http.post(f"/v1/jobs/{made['id']}/resume")
        with filled(disk):
            await until(lambda: server.health.trainer is not None, timeout_s=30)
            assert str(server.health.trainer).startswith("storage_full: ")
            assert (await http.get("/health/ready")).status_code == 200

        def ended() -> bool:
            return server.parts.service.jobs._trainer.get("default", made["id"]).status.ended

        await until(ended, timeout_s=60)
        assert (await http.get(f"/v1/jobs/{made['id']}")).json()["status"] == "succeeded"


@contextmanager
def no_more_files() -> Iterator[None]:
    """As many open as there may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.open(os.devnull, os.O_RDONLY)
    os.close(spare)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.survival("G3", "E7")
async def test_too_many_open_files_are_blamed_on_no_adapter(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        publish(registry_of(server), "mood")
        await http.get("/v1/tasks")  # which opens a connection to the registry
        with no_more_files():
            refused = await http.post("/v1/tasks/mood/predict", json={"inputs": ["x"]})
        assert (refused.status_code, refused.json()["code"]) == (503, "files_unreadable")
        # and nothing of it is remembered
        answered = await http.post("/v1/tasks/mood/predict", json={"inputs": ["x"]})
        assert answered.status_code == 200
