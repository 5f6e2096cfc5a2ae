"""Versions and aliases over both transports: register, look, move, export, delete."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from adapterd.v1 import adapters_pb2, tasks_pb2
from adapters_registry.errors import PickledWeights
from engine.testing.fake_engine import write_fake_adapter
from tests.server.build import grpc_client, http_client, publish, registry_of, running

VERSION_FIELDS = {
    "task", "version", "digest", "kind", "head", "labels", "num_parameters", "num_bytes",
    "created_at", "source", "aliases", "lineage", "left_out", "warnings", "already_published",
}  # fmt: skip


def parts(directory: Path) -> list[tuple[str, tuple[str, bytes]]]:
    return [("files", (path.name, path.read_bytes())) for path in sorted(directory.iterdir())]


def messages(
    directory: Path, chunk: int = 100_000, **metadata: Any
) -> Iterator[adapters_pb2.RegisterRequest]:
    yield adapters_pb2.RegisterRequest(metadata=adapters_pb2.RegisterMetadata(**metadata))
    for path in sorted(directory.iterdir()):
        data, name = path.read_bytes(), path.name
        for start in range(0, len(data), chunk):
            part = adapters_pb2.FileChunk(name=name, data=data[start : start + chunk])
            yield adapters_pb2.RegisterRequest(chunk=part)
            name = ""


async def test_a_data_directory_named_from_the_working_directory_holds_adapters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the default does; what reads adapters is another process, with another one."""
    monkeypatch.chdir(tmp_path)
    adapter = write_fake_adapter(tmp_path / "adapter", ["sad", "glad"])
    async with running(Path("data")) as server, http_client(server) as http:
        answer = await http.post("/v1/tasks/mood/versions", files=parts(adapter))
    assert answer.status_code == 201


async def test_an_adapter_registered_over_http_answers(tmp_path: Path) -> None:
    adapter = write_fake_adapter(tmp_path / "adapter", ["sad", "glad"])
    async with running(tmp_path / "data") as server, http_client(server) as http:
        answer = await http.post(
            "/v1/tasks/mood/versions", files=parts(adapter), data={"note": "by hand"}
        )
        body = answer.json()
        assert answer.status_code == 201
        assert set(body) == VERSION_FIELDS
        assert (body["version"], body["aliases"], body["labels"]) == (
            1,
            ["production"],
            ["sad", "glad"],
        )
        assert body["source"] == "upload"
        assert body["lineage"]["note"] == "by hand"
        said = (await http.post("/v1/tasks/mood/predict", json={"inputs": ["x"]})).json()
        assert said["digest"] == body["digest"]
        assert set(said["outputs"][0]["scores"]) == {"sad", "glad"}


@pytest.mark.parametrize("chunk", [7, 1000, 100_000])
async def test_an_adapter_registered_over_grpc_is_the_same_version(
    tmp_path: Path, chunk: int
) -> None:
    adapter = write_fake_adapter(tmp_path / "adapter")
    async with (
        running(tmp_path / "data") as server,
        grpc_client(server) as rpc,
        http_client(server) as http,
    ):
        if chunk == 7:
            chunk = 700  # a chunk per message is slow; many small ones are the point
        version = await rpc.adapters.Register(messages(adapter, chunk, task_id="mood"))
        again = (await http.post("/v1/tasks/mood/versions", files=parts(adapter))).json()
        assert (
            (again["version"], again["digest"])
            == (version.version, version.digest)
            == (1, again["digest"])
        )


async def test_labels_and_promotion_are_the_callers_to_say(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as server, http_client(server) as http:
        publish(registry_of(server), "mood", seed=1)
        adapter = write_fake_adapter(tmp_path / "adapter", seed=2)
        said = {"head": "classify", "labels": "bad, good", "promote": "true"}
        body = (await http.post("/v1/tasks/mood/versions", files=parts(adapter), data=said)).json()
        assert (body["version"], body["labels"], body["aliases"]) == (
            2,
            ["bad", "good"],
            ["production"],
        )


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("../../adapter_config.json", b"{}", "bad_file_name"),
        ("adapter_model.safetensors", b"\x80\x04K\x01.", PickledWeights.code),
        ("adapter_config.json", b"{", "bad_config"),
    ],
)
async def test_a_bad_adapter_is_refused_and_nothing_of_it_stays(
    tmp_path: Path, name: str, content: bytes, code: str
) -> None:
    adapter = write_fake_adapter(tmp_path / "adapter")
    files = {path.name: path.read_bytes() for path in adapter.iterdir()} | {name: content}
    sent = [("files", item) for item in files.items()]
    async with running(tmp_path / "data") as server, http_client(server) as http:
        answer = await http.post("/v1/tasks/mood/versions", files=sent)
        assert answer.status_code == 422
        assert str(tmp_path) not in answer.text
        if name != "adapter_model.safetensors":
            assert answer.json()["code"] == code
        assert (await http.get("/v1/tasks/mood")).status_code == 404
        staging = tmp_path / "data" / "registry" / "staging"
        assert not staging.exists() or not list(staging.iterdir())


#: what tools leave beside an adapter, a clone's folder among it
BESIDE = {
    "optimizer.pt": b"\x80\x04", "training_args.bin": b"\x80\x04", "adapter_model.bin": b"\x80\x04",
    "modeling.py": b"import os", "runs/events.out": b"x", ".git/config": b"x", "README.md": b"hi",
}  # fmt: skip
LISTED = [
    ".git/", "README.md", "adapter_model.bin", "modeling.py", "optimizer.pt", "runs/",
    "training_args.bin",
]  # fmt: skip


async def test_files_that_are_none_of_an_adapter_are_left_out_and_listed(tmp_path: Path) -> None:
    adapter = write_fake_adapter(tmp_path / "adapter")
    sent = parts(adapter) + [("files", item) for item in BESIDE.items()]
    async with (
        running(tmp_path / "data") as server,
        grpc_client(server) as rpc,
        http_client(server) as http,
    ):
        bare = (await http.post("/v1/tasks/mood/versions", files=parts(adapter))).json()
        body = (await http.post("/v1/tasks/mood/versions", files=sent)).json()
        assert (body["digest"], sorted(body["left_out"])) == (bare["digest"], LISTED)
        archive = await http.get("/v1/tasks/mood/versions/1/export")
        with tarfile.open(fileobj=io.BytesIO(archive.content)) as tar:
            assert not {Path(member.name).name for member in tar} & {Path(n).name for n in BESIDE}
        fresh = write_fake_adapter(tmp_path / "fresh", seed=2)
        said = {"task_id": "mood", "left_out": ["optimizer.pt", "checkpoint-5/"]}
        version = await rpc.adapters.Register(messages(fresh, **said))
        assert list(version.left_out) == said["left_out"]
        kept = (await http.get("/v1/tasks/mood/versions/2")).json()
        assert kept["left_out"] == kept["lineage"]["left_out"] == said["left_out"]


async def test_pickled_weights_alone_are_refused_with_the_way_out(tmp_path: Path) -> None:
    adapter = write_fake_adapter(tmp_path / "adapter")
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    async with running(tmp_path / "data") as server, http_client(server) as http:
        answer = await http.post("/v1/tasks/mood/versions", files=parts(adapter))
        assert (answer.status_code, answer.json()["code"]) == (422, PickledWeights.code)
        assert "safe_serialization=True" in answer.json()["detail"]


async def test_another_bases_name_is_refused_unless_it_is_insisted_on(tmp_path: Path) -> None:
    adapter = write_fake_adapter(tmp_path / "adapter")
    config = json.loads((adapter / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "some-lab/other-model"
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    async with (
        running(tmp_path / "data") as server,
        grpc_client(server) as rpc,
        http_client(server) as http,
    ):
        refused = await http.post("/v1/tasks/mood/versions", files=parts(adapter))
        assert (refused.status_code, refused.json()["code"]) == (422, "wrong_base")
        assert "'some-lab/other-model'; this server runs 'fake'" in refused.json()["detail"]
        body = (
            await http.post(
                "/v1/tasks/mood/versions", files=parts(adapter), data={"other_base": "true"}
            )
        ).json()
        assert body["lineage"]["other_base"] == "some-lab/other-model"
        version = await rpc.adapters.Register(messages(adapter, task_id="two", other_base=True))
        assert version.lineage["other_base"] == "some-lab/other-model"


async def test_an_adapter_without_files_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc, http_client(server) as http:
        assert (
            await http.post("/v1/tasks/mood/versions", data={"head": "classify"})
        ).status_code == 422
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await rpc.adapters.Register(
                messages(tmp_path / "data", task_id="mood") if False else iter(())
            )
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_stream_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    adapter = write_fake_adapter(tmp_path / "adapter")

    async def broken() -> AsyncIterator[adapters_pb2.RegisterRequest]:
        for number, message in enumerate(messages(adapter, 100, task_id="mood")):
            if number == 4:
                call.cancel()
            yield message

    async with running(tmp_path / "data") as server, grpc_client(server) as rpc:
        call = rpc.adapters.Register(broken())
        with pytest.raises(BaseException):  # noqa: B017, PT011 cancelled in one of grpc's two ways
            await call
        tasks = await rpc.tasks.ListTasks(tasks_pb2.ListTasksRequest())
        assert list(tasks.tasks) == []


async def test_an_exported_version_comes_back_byte_for_byte(tmp_path: Path) -> None:
    adapter = write_fake_adapter(tmp_path / "adapter")
    async with (
        running(tmp_path / "data") as server,
        grpc_client(server) as rpc,
        http_client(server) as http,
    ):
        version = (await http.post("/v1/tasks/mood/versions", files=parts(adapter))).json()
        archive = await http.get("/v1/tasks/mood/versions/1/export")
        assert archive.headers["x-adapterd-digest"] == version["digest"]
        with tarfile.open(fileobj=io.BytesIO(archive.content)) as tar:
            over_http = {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]
        over_grpc: dict[str, bytes] = {}
        name = ""
        async for chunk in rpc.adapters.Export(adapters_pb2.ExportRequest(task_id="mood")):
            name = chunk.name or name
            over_grpc[name] = over_grpc.get(name, b"") + chunk.data
        assert over_http == over_grpc
        for path in adapter.iterdir():
            assert over_http[path.name] == path.read_bytes()
        assert "manifest.json" in over_http


async def test_aliases_move_and_roll_back_and_remember(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc, http_client(server) as http:
        for seed in range(2):
            publish(registry_of(server), "mood", seed=seed)
        moved = await rpc.adapters.Promote(adapters_pb2.PromoteRequest(task_id="mood", version=2))
        assert (moved.alias, moved.version) == ("production", 2)
        back = (await http.post("/v1/tasks/mood/aliases/production/rollback")).json()
        assert (back["alias"], back["version"]) == ("production", 1)
        events = (await http.get("/v1/tasks/mood/aliases/production/history")).json()["events"]
        assert [event["action"] for event in events] == ["publish", "promote", "rollback"]
        over_grpc = await rpc.adapters.AliasHistory(
            adapters_pb2.AliasHistoryRequest(task_id="mood")
        )
        assert [event.version for event in over_grpc.events] == [1, 2, 1]
        assert not over_grpc.events[0].HasField("previous_version")
        await http.put("/v1/tasks/mood/aliases/canary", json={"version": 2})
        listed = (await http.get("/v1/tasks/mood/aliases")).json()["aliases"]
        assert {alias["alias"]: alias["version"] for alias in listed} == {
            "production": 1,
            "canary": 2,
        }


async def test_an_alias_is_deleted_over_both_apis_and_its_history_tells(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc, http_client(server) as http:
        publish(registry_of(server), "mood")
        canary = "/v1/tasks/mood/aliases/canary"
        await http.put(canary, json={"version": 1})
        moved = await http.delete(canary, params={"expected_version": 2})
        assert (moved.status_code, moved.json()["code"]) == (409, "alias_moved")
        assert (await http.delete(canary)).status_code == 204
        assert (await http.delete(canary)).json()["code"] == "unknown_alias"
        events = (await http.get(f"{canary}/history")).json()["events"]
        assert [event["action"] for event in events] == ["promote", "delete"]
        request = adapters_pb2.DeleteAliasRequest(task_id="mood", expected_version=1)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await rpc.adapters.DeleteAlias(request)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        request.alias = "production"
        await rpc.adapters.DeleteAlias(request)
        assert (await http.get("/v1/tasks/mood/aliases")).json()["aliases"] == []


async def test_a_promotion_to_a_version_with_other_labels_warns(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc, http_client(server) as http:
        registry = registry_of(server)
        for seed, labels in enumerate((["bad", "good"], ["bad", "good"], ["no", "yes"])):
            publish(registry, "mood", seed=seed, labels=labels)
        alias = "/v1/tasks/mood/aliases/production"
        assert (await http.put(alias, json={"version": 2})).json()["warnings"] == []
        moved = await rpc.adapters.Promote(adapters_pb2.PromoteRequest(task_id="mood", version=3))
        assert list(moved.warnings) == [
            "mood@3 has the labels no, yes; version 2, to which production pointed, has bad, good. "
            "From now on, callers get other labels."
        ]


async def test_registering_the_same_again_says_that_nothing_new_was_published(
    tmp_path: Path,
) -> None:
    adapter = write_fake_adapter(tmp_path / "adapter")
    async with running(tmp_path / "data") as server, http_client(server) as http:
        made = [
            (await http.post("/v1/tasks/mood/versions", files=parts(adapter))).json()
            for _ in range(2)
        ]
        assert [each["version"] for each in made] == [1, 1]
        assert [each["already_published"] for each in made] == [False, True]


@pytest.mark.survival("B12")
async def test_a_moved_alias_is_aborted_over_grpc(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        for seed in range(2):
            publish(registry_of(server), "mood", seed=seed)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await rpc.adapters.Promote(
                adapters_pb2.PromoteRequest(task_id="mood", version=2, expected_version=2)
            )
        assert refused.value.code() is grpc.StatusCode.ABORTED


async def test_a_version_that_an_alias_names_cannot_be_deleted(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        publish(registry_of(server), "mood")
        answer = await http.delete("/v1/tasks/mood/versions/1")
        assert (answer.status_code, answer.json()["code"]) == (409, "version_in_use")


@pytest.mark.parametrize("number", ["0", "-1", "x", "99999999999999999999"])
async def test_a_version_number_that_cannot_be_is_refused(tmp_path: Path, number: str) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        publish(registry_of(server), "mood")
        for method in ("GET", "DELETE"):
            answer = await http.request(method, f"/v1/tasks/mood/versions/{number}")
            assert answer.status_code in (400, 404)


async def test_tasks_are_listed_in_pages(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc, http_client(server) as http:
        for seed, name in enumerate("abc"):
            publish(registry_of(server), name, seed=seed)
        first = (await http.get("/v1/tasks", params={"limit": 2})).json()
        assert ([task["task"] for task in first["tasks"]], first["has_more"]) == (["a", "b"], True)
        assert set(first["tasks"][0]) == {"task", "head", "latest_version", "aliases", "created_at"}
        rest = await rpc.tasks.ListTasks(tasks_pb2.ListTasksRequest(after="b", limit=2))
        assert ([task.task_id for task in rest.tasks], rest.has_more) == (["c"], False)
        assert dict(rest.tasks[0].aliases) == {"production": 1}
        assert (await http.get("/v1/tasks", params={"limit": 5000})).status_code == 400


async def test_a_deleted_task_is_gone_with_its_versions(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc, http_client(server) as http:
        publish(registry_of(server), "mood")
        await rpc.predict("mood", "x")
        await rpc.tasks.DeleteTask(tasks_pb2.DeleteTaskRequest(task_id="mood"))
        assert (await http.get("/v1/tasks/mood/versions")).status_code == 404
        assert server.parts.dispatch.residency.num_resident == 0


@pytest.mark.survival("B7")
async def test_fields_the_server_decides_are_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        publish(registry_of(server), "mood")
        for extra in ({"tenant": "b"}, {"digest": "x"}):
            answer = await http.put(
                "/v1/tasks/mood/aliases/production", json={"version": 1, **extra}
            )
            assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
