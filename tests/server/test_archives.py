"""Adapters that come as one archive, over both transports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from adapterd.v1 import adapters_pb2
from engine.testing.fake_engine import write_fake_adapter
from server.main import Server
from tests.registry.archive_builder import PACKERS, tar_of, zip_of
from tests.server.build import grpc_client, http_client, running


def content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


async def register(http: httpx.AsyncClient, name: str, archive: bytes) -> httpx.Response:
    return await http.post("/v1/tasks/mood/versions", files=[("files", (name, archive))])


def named_evil(directory: Path) -> list[Path]:
    return list(directory.rglob("evil"))


def leftovers(directory: Path) -> list[Path]:
    return list((directory / "staging").iterdir())


@pytest.mark.parametrize("packer", PACKERS)
async def test_an_archive_is_the_version_that_its_files_are(tmp_path: Path, packer: str) -> None:
    adapter = write_fake_adapter(tmp_path / "adapter", ["sad", "glad"])
    parts = [("files", (name, data)) for name, data in content(adapter).items()]
    packed = PACKERS[packer]({**content(adapter), "README.md": b"#"})
    async with running(tmp_path / "data") as server, http_client(server) as http:
        one_by_one = (await http.post("/v1/tasks/mood/versions", files=parts)).json()
        answer = await register(http, f"adapter.{packer}", packed)
        assert answer.status_code == 201, answer.text
        assert answer.json()["digest"] == one_by_one["digest"]
        assert answer.json()["already_published"]
        assert answer.json()["left_out"] == ["README.md"]
        assert leftovers(tmp_path / "data") == []


async def test_an_archive_may_be_streamed_over_grpc(tmp_path: Path) -> None:
    packed = zip_of(content(write_fake_adapter(tmp_path / "adapter")))

    def requests() -> Iterator[adapters_pb2.RegisterRequest]:
        metadata = adapters_pb2.RegisterMetadata(task_id="mood")
        yield adapters_pb2.RegisterRequest(metadata=metadata)
        for start in range(0, len(packed), 100):
            name = "" if start else "adapter.zip"
            part = adapters_pb2.FileChunk(name=name, data=packed[start : start + 100])
            yield adapters_pb2.RegisterRequest(chunk=part)

    async with running(tmp_path / "data") as server, grpc_client(server) as grpc:
        assert (await grpc.adapters.Register(requests())).version == 1


async def refused(server: Server, http: httpx.AsyncClient, archive: bytes) -> tuple[int, str]:
    answer = await register(http, "adapter.tar", archive)
    assert (await http.get("/v1/tasks/mood/versions")).status_code == 404
    return answer.status_code, answer.json()["code"]


@pytest.mark.survival("A16")
async def test_an_archive_that_is_refused_leaves_nothing_behind(tmp_path: Path) -> None:
    files = content(write_fake_adapter(tmp_path / "adapter"))
    async with running(tmp_path / "data") as server, http_client(server) as http:
        evil = tar_of({**files, "../../evil": b"x"})
        assert await refused(server, http, evil) == (422, "bad_file_name")
        assert await refused(server, http, b"no archive") == (422, "bad_archive")
        assert leftovers(tmp_path / "data") == []
    assert named_evil(tmp_path) == []


@pytest.mark.survival("A17")
async def test_a_bomb_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    files = content(write_fake_adapter(tmp_path / "adapter"))
    async with running(tmp_path / "data") as server, http_client(server) as http:
        bomb = PACKERS["tar.zst"]({**files, "optimizer.pt": bytes(100_000_000)})
        assert len(bomb) < 100_000
        assert await refused(server, http, bomb) == (413, "too_many_bytes")
        assert leftovers(tmp_path / "data") == []


async def test_an_archive_comes_alone(tmp_path: Path) -> None:
    files = content(write_fake_adapter(tmp_path / "adapter"))
    parts = [("files", (name, data)) for name, data in files.items()]
    archive = ("files", ("adapter.zip", zip_of(files)))
    async with running(tmp_path / "data") as server, http_client(server) as http:
        for sent in ([archive, *parts], [*parts, archive]):
            answer = await http.post("/v1/tasks/mood/versions", files=sent)
            assert answer.status_code == 400
            assert "adapter.zip is an archive" in answer.json()["detail"]


@pytest.mark.survival("A13")
async def test_an_archive_made_for_another_base_is_refused_or_recorded(tmp_path: Path) -> None:
    files = content(write_fake_adapter(tmp_path / "adapter"))
    config = {**json.loads(files["adapter_config.json"]), "base_model_name_or_path": "acme/other"}
    archive = zip_of({**files, "adapter_config.json": json.dumps(config).encode()})
    async with running(tmp_path / "data") as server, http_client(server) as http:
        answer = await register(http, "adapter.zip", archive)
        assert (answer.status_code, answer.json()["code"]) == (422, "wrong_base")
        assert "acme/other" in answer.json()["detail"]
        sent = [("files", ("adapter.zip", archive))]
        options = {"files": sent, "data": {"other_base": "true"}}
        answer = await http.post("/v1/tasks/mood/versions", **options)
        assert answer.status_code == 201
        assert answer.json()["lineage"]["other_base"] == "acme/other"


@pytest.mark.survival("A14", "A15")
async def test_templates_and_code_in_an_archive_are_left_out(tmp_path: Path) -> None:
    files = content(write_fake_adapter(tmp_path / "adapter"))
    beside = {"chat_template.jinja": b"{{ x }}", "tokenizer.json": b"{}", "modeling.py": b"1"}
    async with running(tmp_path / "data") as server, http_client(server) as http:
        answer = await register(http, "adapter.zip", zip_of({**files, **beside}))
        assert answer.status_code == 201
        assert answer.json()["left_out"] == list(beside)


@pytest.mark.survival("A15")
async def test_an_archive_whose_configuration_brings_code_is_refused(tmp_path: Path) -> None:
    files = content(write_fake_adapter(tmp_path / "adapter"))
    config = {**json.loads(files["adapter_config.json"]), "auto_map": {"AutoModel": "evil.Model"}}
    archive = zip_of({**files, "adapter_config.json": json.dumps(config).encode()})
    async with running(tmp_path / "data") as server, http_client(server) as http:
        assert await refused(server, http, archive) == (422, "remote_code")
