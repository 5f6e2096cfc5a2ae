"""Values that no database, path or JSON document holds alike, at every parameter of the control
plane: each is refused with its parameter's name, over both transports.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from adapterd.v1 import adapters_pb2, jobs_pb2
from engine.testing.fake_engine import write_fake_adapter
from server.health import Health
from server.http_api.app import build_routes
from tests.server.build import Grpc, grpc_client, http_client, publish, registry_of, running
from tests.server.test_jobs import rows, upload

pytestmark = pytest.mark.survival("C3")

NO_TEXT = ["\0", "a\0b", "\ud800", "\udfff\ud800"]
TOO_LARGE = [2**63, -(2**63) - 1, 10**30]
JOB_STRINGS = [
    "task", "file_id", "dev_file_id", "test_file_id", "head", "text_column", "text_pair_column",
    "label_column", "kind", "pooling", "suffix",
]  # fmt: skip


def integers() -> Iterator[tuple[str, str, str, str]]:
    """Every whole number in a path or query: method, path, where it is and its name."""
    document = build_routes(None, Health(), "0").openapi()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for each in operation.get("parameters", []):
                if '"integer"' in json.dumps(each["schema"]):
                    yield method, path, each["in"], each["name"]


def concrete(path: str, **given: object) -> str:
    values = {"task": "mood", "job_id": "job-1", "alias": "production", "number": 1, **given}
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", str(value))
    return path


async def post(http: httpx.AsyncClient, path: str, body: dict[str, Any]) -> httpx.Response:
    # by hand: half surrogates have no UTF-8, and JSON has escapes for them
    headers = {"content-type": "application/json"}
    return await http.post(path, content=json.dumps(body), headers=headers)


def names(answer: httpx.Response, param: str, value: object) -> bool:
    """The parameter, or where the body as a whole cannot be read, what stands in its way."""
    told = answer.json()["detail"]
    return param in told or str(value) in told or "surrogate" in told


def said(answer: httpx.Response) -> str:
    """Status, and everything that is told."""
    return f"{answer.status_code} {answer.text}"


async def test_a_number_beyond_64_bits_is_refused_by_its_name(tmp_path: Path) -> None:
    assert len(list(integers())) > 10
    async with running(tmp_path) as server, http_client(server) as http:
        for method, path, place, name in integers():
            for value in TOO_LARGE:
                where = concrete(path, **({name: value} if place == "path" else {}))
                query = {name: value} if place == "query" else {}
                answer = await http.request(method, where, params=query)
                assert answer.status_code == 400, (method, path, said(answer))
                assert name in answer.text


async def test_a_number_of_a_body_beyond_64_bits_is_refused_by_its_name(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        publish(registry_of(server), "mood")
        alias = "/v1/tasks/mood/aliases/production"
        for value in TOO_LARGE:
            for name in ("version", "expected_version"):
                moved = await http.put(alias, json={"version": 1, name: value})
                assert moved.status_code == 400, said(moved)
                assert names(moved, name, value)
            job = await http.post(
                "/v1/jobs", json={"task": "t", "file_id": "f", "split_seed": value}
            )
            assert job.status_code == 400, said(job)
            assert names(job, "split_seed", value)
        for value in (2**63 - 1, 999_999_999):
            assert (await http.put(alias, json={"version": value})).status_code == 404


@pytest.mark.parametrize("value", NO_TEXT, ids=ascii)
async def test_what_is_no_text_is_refused_by_its_name_in_every_field_of_a_job(
    tmp_path: Path, value: str
) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        file = await upload(http, rows())
        good = {"task": "mood", "file_id": file["id"]}
        for name in JOB_STRINGS:
            for dry_run in (False, True):
                body = {**good, name: value, "dry_run": dry_run}
                answer = await post(http, "/v1/jobs", body)
                assert answer.status_code == 400, (name, said(answer))
                assert names(answer, name, value)
        odd: list[dict[str, Any]] = [
            {"metadata": {"note": value}},
            {"metadata": {value: "note"}},
            {"settings": {value: 1}},
            {"settings": {"schedule": value}},
            {"settings": {"targets": [value]}},
            {"settings": {"class_weights": {value: 1}}},
        ]
        for each in odd:
            answer = await post(http, "/v1/jobs", {**good, **each})
            assert answer.status_code == 400, said(answer)
            assert names(answer, next(iter(each)), value)
        for name in ("dev_file_id", "test_file_id", "head", "label_column"):
            answer = await post(http, f"/v1/files/{file['id']}/check", {name: value})
            assert answer.status_code == 400, said(answer)
            assert names(answer, name, value)
        assert (await http.get("/v1/jobs")).json()["jobs"] == []


async def test_a_note_that_is_no_text_finds_nothing_and_breaks_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        for query in ("metadata[%00]=1", "metadata[a]=%00", "metadata[]=1"):
            answer = await http.get(f"/v1/fine_tuning/jobs?{query}")
            assert answer.status_code == 400, said(answer)
            assert answer.json()["error"]["param"].startswith("metadata")
        for query in ("metadata[a%22b]=1", "metadata[%5C]=1", "metadata[$.x]=1"):
            assert (await http.get(f"/v1/fine_tuning/jobs?{query}")).status_code in (200, 400)


async def test_an_empty_file_id_is_none(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        for dry_run in (False, True):
            body = {"task": "mood", "file_id": "", "dry_run": dry_run}
            answer = await http.post("/v1/jobs", json=body)
            assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
            assert "file_id" in answer.json()["detail"]
        tuned = await http.post(
            "/v1/fine_tuning/jobs", json={"model": "fake", "training_file": "", "suffix": "mood"}
        )
        assert (tuned.status_code, tuned.json()["error"]["param"]) == (400, "training_file")


@pytest.mark.parametrize("value", [None, [], {}, 1, True, [None]])
async def test_a_setting_of_another_kind_is_refused_by_its_name(tmp_path: Path, value: Any) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        file = await upload(http, rows())
        body = {"task": "mood", "file_id": file["id"], "settings": {"schedule": value}}
        answer = await http.post("/v1/jobs", json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_setting")
        assert "schedule" in answer.json()["detail"]


@pytest.mark.parametrize("name", ["note", "labels", "pooling", "head"])
async def test_what_is_no_text_is_not_registered(tmp_path: Path, name: str) -> None:
    write_fake_adapter(tmp_path / "adapter")
    files = [("files", (x.name, x.read_bytes())) for x in (tmp_path / "adapter").iterdir()]
    async with running(tmp_path / "data") as server, http_client(server) as http:
        answer = await http.post("/v1/tasks/mood/versions", files=files, data={name: "a\0b"})
        assert answer.status_code == 400, said(answer)
        assert name in answer.text
        assert (await http.get("/v1/tasks")).json()["tasks"] == []


async def refused(rpc: Grpc, call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_odd_values_over_grpc_are_refused_by_their_names_too(tmp_path: Path) -> None:
    async with (
        running(tmp_path) as server,
        http_client(server) as http,
        grpc_client(server) as rpc,
    ):
        publish(registry_of(server), "mood")
        file = await upload(http, rows())
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        for name in JOB_STRINGS:
            field = "task_id" if name == "task" else name
            given = {"task_id": "mood", "file_id": file["id"], field: "a\0b"}
            error = await refused(rpc, rpc.jobs.CreateJob(jobs_pb2.CreateJobRequest(**given)))
            assert error.code() is invalid, name
            assert name in str(error.details())
        for given in ({"file_id": ""}, {"file_id": file["id"], "metadata": {"\0": "x"}}):
            request = jobs_pb2.CreateJobRequest(task_id="mood", **given)
            assert (await refused(rpc, rpc.jobs.CreateJob(request))).code() is invalid
        job = jobs_pb2.CreateJobRequest(task_id="mood", file_id=file["id"])
        job.settings.update({"schedule": None})
        error = await refused(rpc, rpc.jobs.CreateJob(job))
        assert error.code() is invalid
        assert "schedule" in str(error.details())
        made = await rpc.jobs.CreateJob(
            jobs_pb2.CreateJobRequest(task_id="mood", file_id=file["id"], split_seed=-(2**63))
        )
        for after in (2**63 - 1, -(2**63)):
            page = jobs_pb2.ListJobEventsRequest(id=made.id, after=after)
            await rpc.jobs.ListJobEvents(page)
        for version in (2**63 - 1, -(2**63)):
            move = adapters_pb2.PromoteRequest(task_id="mood", version=version)
            error = await refused(rpc, rpc.adapters.Promote(move))
            assert error.code() in (invalid, grpc.StatusCode.NOT_FOUND)
        for limit in (2**31 - 1, -(2**31)):
            error = await refused(rpc, rpc.jobs.ListJobs(jobs_pb2.ListJobsRequest(limit=limit)))
            assert error.code() is invalid
