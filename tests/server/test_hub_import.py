"""Adapters from a hub: of one commit, from allowed hosts, with the hub's own hashes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.testing.fake_engine import write_fake_adapter
from tests.server.build import grpc_client, http_client, running
from tests.server.hub import REPOSITORY, Hub, serving_hub
from tests.server.test_archives import leftovers


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    adapter = write_fake_adapter(tmp_path / "adapter", ["sad", "glad"])
    files = {path.name: path.read_bytes() for path in sorted(adapter.iterdir())}
    with serving_hub(Hub(files={**files, "README.md": b"# mood", "run.py": b"1"})) as served:
        yield served


async def register(http: httpx.AsyncClient, source: str, **options: Any) -> httpx.Response:
    return await http.post("/v1/tasks/mood/versions", data={"source": source}, **options)


@pytest.mark.survival("A20")
@pytest.mark.parametrize("revision", ["", "@main", "@v1", "@{commit}"])
async def test_a_version_records_the_commit_that_its_revision_was(
    tmp_path: Path, hub: Hub, revision: str
) -> None:
    source = f"hf:{REPOSITORY}{revision.format(commit=hub.commit)}"
    async with (
        running(tmp_path / "data", import_hub=hub.url) as server,
        http_client(server) as http,
    ):
        answer = await register(http, source)
        assert answer.status_code == 201, answer.text
        version = answer.json()
        assert version["source"] == f"hf:{REPOSITORY}@{hub.commit}"
        asked = revision.format(commit=hub.commit).removeprefix("@") or "main"
        facts = {"repository": REPOSITORY, "revision": asked, "commit": hub.commit}
        assert version["lineage"]["hub"] == facts
        assert version["left_out"] == ["README.md", "run.py"]
        resolved = [path for _, path, _ in hub.requests if "/resolve/" in path]
        assert resolved
        assert all(f"/resolve/{hub.commit}/" in path for path in resolved)
        said = await http.post("/v1/tasks/mood/predict", json={"inputs": ["x"]})
        assert said.json()["digest"] == version["digest"]
        files = {n: d for n, d in hub.files.items() if n not in version["left_out"]}
        parts = [("files", (name, data)) for name, data in files.items()]
        again = await http.post("/v1/tasks/mood/versions", files=parts)
        assert again.json()["digest"] == version["digest"]
        assert leftovers(tmp_path / "data") == []


async def test_large_files_come_from_a_host_that_is_allowed(tmp_path: Path, hub: Hub) -> None:
    hub.storage = hub.url.replace("127.0.0.1", "localhost")
    async with (
        running(tmp_path / "data", import_hub=hub.url, import_hosts=[hub.storage]) as server,
        http_client(server) as http,
    ):
        assert (await register(http, f"hf:{REPOSITORY}")).status_code == 201
    hosts = {headers["host"] for _, path, headers in hub.requests if "/storage/" in path}
    assert hosts == {hub.storage.removeprefix("http://")}


async def test_what_is_no_file_of_an_adapter_is_never_downloaded(tmp_path: Path, hub: Hub) -> None:
    async with (
        running(tmp_path / "data", import_hub=hub.url) as server,
        http_client(server) as http,
    ):
        assert (await register(http, f"hf:{REPOSITORY}")).status_code == 201
    assert not [path for _, path, _ in hub.requests if path.endswith((".md", ".py"))]


async def test_no_credentials_of_the_server_are_sent(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret_of_the_operator")
    async with (
        running(tmp_path / "data", import_hub=hub.url) as server,
        http_client(server) as http,
    ):
        assert (await register(http, f"hf:{REPOSITORY}")).status_code == 201
    assert hub.requests
    assert not [headers for _, _, headers in hub.requests if "authorization" in headers]


REFUSALS: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "other bytes of a large file": (
        {"swaps": {"adapter_model.safetensors": b"evil"}}, 422, "hub_refused", "arrived with 4"),
    "other bytes of a small file": (
        {"swaps": {"adapter_config.json": b"{}"}}, 422, "hub_refused", "arrived with 2"),
    "more bytes than are listed": (
        {"swaps": {"adapter_model.safetensors": bytes(9_000_000)}}, 413, "too_many_bytes",
        "that the hub lists"),
    "files of another commit": ({"moved": "0" * 40}, 422, "hub_refused", "not of"),
    "no hashes": ({"listed": {"lfs": None, "blobId": None}}, 422, "hub_refused", "neither size"),
    "a file beyond the limit": ({"listed": {"size": 2**40}}, 413, "too_many_bytes", "the limit"),
    "a hub that fails": ({"status": 500}, 503, "hub_unavailable", "status 500"),
    "a gated repository": ({"status": 403}, 422, "hub_refused", "private or gated"),
}  # fmt: skip


@pytest.mark.survival("A20")
@pytest.mark.parametrize("case", REFUSALS)
async def test_a_download_that_is_not_that_of_the_commit_is_refused(
    tmp_path: Path, hub: Hub, case: str
) -> None:
    changes, status, code, sentence = REFUSALS[case]
    for name, value in changes.items():
        setattr(hub, name, value)
    async with (
        running(tmp_path / "data", import_hub=hub.url) as server,
        http_client(server) as http,
    ):
        answer = await register(http, f"hf:{REPOSITORY}")
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert sentence in answer.json()["detail"]
        assert (await http.get("/v1/tasks/mood/versions")).status_code == 404
        assert leftovers(tmp_path / "data") == []


async def test_a_hub_that_is_not_there_is_named(tmp_path: Path, hub: Hub) -> None:
    async with (
        running(tmp_path / "data", import_hub="http://127.0.0.1:9") as server,
        http_client(server) as http,
    ):
        answer = await register(http, f"hf:{REPOSITORY}")
        assert (answer.status_code, answer.json()["code"]) == (503, "hub_unavailable")
        assert "http://127.0.0.1:9 cannot be reached" in answer.json()["detail"]


@pytest.mark.survival("A19")
async def test_a_server_without_a_hub_asks_no_host(tmp_path: Path, hub: Hub) -> None:
    async with running(tmp_path / "data") as server, http_client(server) as http:
        answer = await register(http, f"hf:{REPOSITORY}")
        assert answer.status_code == 400
        assert "imports from no hub (import_hub)" in answer.json()["detail"]
    assert hub.requests == []


@pytest.mark.survival("A19")
@pytest.mark.parametrize(
    "storage",
    [
        "http://169.254.169.254", "file:///etc/passwd#", "gopher://127.0.0.1", "http://localhost:80",
        "https://127.0.0.1", "http://user:key@127.0.0.1", "http://[::ffff:127.0.0.1]", "http://2130706433",
    ],
)  # fmt: skip
async def test_a_hub_that_sends_a_download_elsewhere_is_refused(
    tmp_path: Path, hub: Hub, storage: str
) -> None:
    hub.storage = storage
    async with (
        running(tmp_path / "data", import_hub=hub.url) as server,
        http_client(server) as http,
    ):
        answer = await register(http, f"hf:{REPOSITORY}")
        assert answer.status_code in (422, 503), answer.text
        assert answer.json()["code"] in ("hub_refused", "hub_unavailable")
    assert not [path for _, path, _ in hub.requests if path.startswith("/storage/")]


@pytest.mark.survival("A19")
@pytest.mark.parametrize(
    "source",
    [
        "http://169.254.169.254/a", "file:///etc/passwd", "hf:mood", "hf:a/b/c", "hf:../b@main",
        "hf:lena/mood@../../api", "hf:lena/mood@a..b", "hf:lena/mood@", "hf:lena/mood?x", "hf:l@/m",
        "lena/mood@main", "hf:lena/mood@main#x", "hf:lena/mood@" + "a" * 300,
    ],
)  # fmt: skip
async def test_a_source_that_is_no_name_on_the_hub_is_refused(
    tmp_path: Path, hub: Hub, source: str
) -> None:
    async with (
        running(tmp_path / "data", import_hub=hub.url) as server,
        http_client(server) as http,
    ):
        answer = await register(http, source)
        assert answer.status_code == 400
        assert "hf:OWNER/NAME@REVISION" in answer.json()["detail"]
    assert hub.requests == []


@pytest.mark.survival("H2")
async def test_a_tenant_imports_one_adapter_at_a_time(tmp_path: Path, hub: Hub) -> None:
    """Each import holds a thread that uploads and exports of all tenants need."""
    hub.gate.clear()
    async with (
        running(tmp_path / "data", import_hub=hub.url) as server,
        http_client(server) as http,
    ):
        first = asyncio.create_task(register(http, f"hf:{REPOSITORY}"))
        await asyncio.to_thread(hub.asked.wait, 30)
        second = await register(http, f"hf:{REPOSITORY}")
        assert second.json()["code"] == "overloaded", second.text
        assert "An import of this tenant is running" in second.json()["detail"]
        hub.gate.set()
        assert (await first).status_code == 201
        assert (await register(http, f"hf:{REPOSITORY}")).status_code == 201


async def test_a_source_comes_without_files(tmp_path: Path, hub: Hub) -> None:
    async with (
        running(tmp_path / "data", import_hub=hub.url) as server,
        http_client(server) as http,
    ):
        files = [("files", ("adapter_config.json", b"{}"))]
        answer = await register(http, f"hf:{REPOSITORY}", files=files)
        assert answer.status_code == 400
        assert "and files too" in answer.json()["detail"]


async def test_grpc_imports_as_http_does(tmp_path: Path, hub: Hub) -> None:
    from adapterd.v1 import adapters_pb2

    def requests() -> Iterator[adapters_pb2.RegisterRequest]:
        metadata = adapters_pb2.RegisterMetadata(task_id="mood", source=f"hf:{REPOSITORY}@v1")
        yield adapters_pb2.RegisterRequest(metadata=metadata)

    async with (
        running(tmp_path / "data", import_hub=hub.url) as server,
        grpc_client(server) as grpc,
    ):
        version = await grpc.adapters.Register(requests())
        assert version.source == f"hf:{REPOSITORY}@{hub.commit}"
