"""Files and training jobs over both transports, trained by the fake engine."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from adapterd.v1 import adapters_pb2, jobs_pb2
from adapterd.v1.private_pool import Struct
from tests.server.build import grpc_client, http_client, running


def rows(num: int = 60) -> bytes:
    words = {"glad": "yay yay happy", "sad": "boo boo gloom"}
    labels = ["glad", "sad"] * (num // 2)
    return "\n".join(
        json.dumps({"text": f"{words[label]} {i}", "label": label})
        for i, label in enumerate(labels)
    ).encode()


async def upload(
    http: httpx.AsyncClient, content: bytes, name: str = "mood.jsonl"
) -> dict[str, Any]:
    answer = await http.post(
        "/v1/files", files={"file": (name, content)}, data={"purpose": "fine-tune"}
    )
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_a_file_goes_in_and_comes_back(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        content = rows()
        file = await upload(http, content)
        assert (file["object"], file["bytes"], file["filename"]) == (
            "file",
            len(content),
            "mood.jsonl",
        )
        assert (await http.get(f"/v1/files/{file['id']}")).json() == file
        assert (await http.get(f"/v1/files/{file['id']}/content")).content == content
        assert (await http.get("/v1/files")).json()["data"] == [file]
        gone = (await http.delete(f"/v1/files/{file['id']}")).json()
        assert gone == {"id": file["id"], "object": "file", "deleted": True}
        assert (await http.get(f"/v1/files/{file['id']}")).json()["code"] == "unknown_file"


async def test_a_file_of_unknown_purpose_or_beyond_the_cap_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, max_upload_bytes=4096) as server, http_client(server) as http:
        odd = await http.post("/v1/files", files={"file": ("a", b"x")}, data={"purpose": "party"})
        assert (odd.status_code, odd.json()["code"]) == (400, "bad_request")
        form = {"files": {"file": ("a", b"x" * 5000)}, "data": {"purpose": "fine-tune"}}
        large = await http.post("/v1/files", **form)
        assert (large.status_code, large.json()["code"]) == (413, "file_too_large")
        assert (await http.get("/v1/files")).json()["data"] == []


async def test_a_job_trains_publishes_and_the_task_answers(tmp_path: Path) -> None:
    async with (
        running(tmp_path, train=True) as server,
        grpc_client(server) as rpc,
        http_client(server) as http,
    ):
        file = await upload(http, rows())
        settings = Struct()
        settings.update({"epochs": 2, "seed": 3})
        job = await rpc.jobs.CreateJob(
            jobs_pb2.CreateJobRequest(task_id="mood", file_id=file["id"], settings=settings)
        )
        assert (job.task_id, job.status) == ("mood", "queued")
        seen = [j async for j in rpc.jobs.WatchJob(jobs_pb2.GetJobRequest(id=job.id))]
        assert seen[-1].status == "succeeded", seen[-1].error_message
        shown = (await http.get(f"/v1/jobs/{job.id}")).json()
        assert shown["digest"] == seen[-1].digest
        assert {"metrics", "baseline", "trainable_parameters"} <= set(shown["result"])
        answer = await rpc.predict("mood", "yay happy")
        assert (answer.digest, answer.version) == (shown["digest"], 1)
        listed = (await http.get("/v1/jobs")).json()
        assert [j["id"] for j in listed["jobs"]] == [job.id]
        sha256 = hashlib.sha256(rows()).hexdigest()
        made = (await http.get("/v1/versions", params={"dataset": sha256})).json()["versions"]
        request = adapters_pb2.ListVersionsRequest(dataset_sha256=sha256)
        told = (await rpc.adapters.ListVersions(request)).versions
        assert [v["digest"] for v in made] == [v.digest for v in told] == [shown["digest"]]
        odd = await http.get("/v1/versions", params={"dataset": "50%"})
        assert (odd.status_code, odd.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"{", "bad_line"), (b"\n", "bad_dataset"), (b'{"text":"a","label":"x"}\n' * 60, "one_class")],
)
async def test_a_bad_dataset_is_refused_before_it_queues(
    tmp_path: Path, content: bytes, code: str
) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        file = await upload(http, content)
        answer = await http.post("/v1/jobs", json={"task": "mood", "file_id": file["id"]})
        assert answer.status_code == 422
        assert answer.json()["code"] == code
        assert (await http.get("/v1/jobs")).json()["jobs"] == []


async def test_a_queued_job_is_cancelled_over_either_transport(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc, http_client(server) as http:
        file = await upload(http, rows())
        for cancel_over_grpc in (True, False):
            made = await http.post("/v1/jobs", json={"task": "mood", "file_id": file["id"]})
            assert made.status_code == 201
            job_id = made.json()["id"]
            if cancel_over_grpc:
                status = (await rpc.jobs.CancelJob(jobs_pb2.CancelJobRequest(id=job_id))).status
            else:
                status = (await http.post(f"/v1/jobs/{job_id}/cancel")).json()["status"]
            assert status == "cancelled"
        again = await http.post(f"/v1/jobs/{job_id}/cancel")
        assert (again.status_code, again.json()["code"]) == (409, "job_ended")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"tenant": "globex"}, "bad_request"),
        ({"status": "succeeded"}, "bad_request"),
        ({"settings": {"epochz": 1}}, "bad_setting"),
        ({"settings": {"epochs": 0}}, "bad_setting"),
        ({"file_id": None}, "bad_request"),
        ({"task": "Not A Name"}, "bad_name"),
    ],
)
async def test_a_job_that_makes_no_sense_is_refused(
    tmp_path: Path, changes: dict[str, Any], code: str
) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        file = await upload(http, rows())
        body = {"task": "mood", "file_id": file["id"], **changes}
        answer = await http.post("/v1/jobs", json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_patterns_of_names_and_numbers_come_over_both_transports(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc, http_client(server) as http:
        file = await upload(http, rows())
        good: dict[str, Any] = {"rank_pattern": {"query": 4}, "alpha_pattern": {"self.query": 2.5}}
        settings = Struct()
        settings.update(good)
        request = jobs_pb2.CreateJobRequest(task_id="m", file_id=file["id"], settings=settings)
        assert (await rpc.jobs.CreateJob(request)).status == "queued"
        body = {"task": "m", "file_id": file["id"]}
        made = await http.post("/v1/jobs", json={**body, "settings": good})
        assert made.status_code == 201
        bad = {"rank_pattern": {"querry": 4}}
        settings.update(bad)
        with pytest.raises(grpc.aio.AioRpcError, match=r"'querry', which is no adapted module"):
            await rpc.jobs.CreateJob(
                jobs_pb2.CreateJobRequest(task_id="m", file_id=file["id"], settings=settings)
            )
        refused = await http.post("/v1/jobs", json={**body, "settings": bad})
        assert (refused.status_code, refused.json()["code"]) == (400, "bad_setting")


async def test_a_job_that_is_not_there_is_a_typed_404(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            async for _ in rpc.jobs.WatchJob(jobs_pb2.GetJobRequest(id="job-none")):
                pass
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_draining_server_sends_its_watchers_elsewhere(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc, http_client(server) as http:
        file = await upload(http, rows())
        job = (await http.post("/v1/jobs", json={"task": "mood", "file_id": file["id"]})).json()
        watch = rpc.jobs.WatchJob(jobs_pb2.GetJobRequest(id=job["id"]))
        assert (await watch.read()).status == "queued"
        draining = asyncio.create_task(server.drain())
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await watch.read()
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        await draining


# ---------------------------------------------------------------- pausing, events, estimates


async def test_a_job_is_paused_and_resumed_over_either_transport(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc, http_client(server) as http:
        file = await upload(http, rows())
        job = (await http.post("/v1/jobs", json={"task": "mood", "file_id": file["id"]})).json()
        paused = await rpc.jobs.PauseJob(jobs_pb2.PauseJobRequest(id=job["id"]))
        assert paused.status == "paused"
        assert (await http.post(f"/v1/jobs/{job['id']}/resume")).json()["status"] == "queued"
        assert (await http.post(f"/v1/jobs/{job['id']}/pause")).json()["status"] == "paused"
        resumed = await rpc.jobs.ResumeJob(jobs_pb2.ResumeJobRequest(id=job["id"]))
        assert resumed.status == "queued"


async def test_a_watcher_sees_events_and_progress_in_one_stream(tmp_path: Path) -> None:
    async with (
        running(tmp_path, train=True) as server,
        grpc_client(server) as rpc,
        http_client(server) as http,
    ):
        file = await upload(http, rows())
        body = {"task": "mood", "file_id": file["id"], "settings": {"epochs": 2}}
        job = (await http.post("/v1/jobs", json=body)).json()
        updates = [u async for u in rpc.jobs.Watch(jobs_pb2.WatchRequest(id=job["id"]))]
        told = [u.event for u in updates if u.HasField("event")]
        assert [event.number for event in told] == list(range(1, len(told) + 1))
        assert (told[0].code, told[-1].code) == ("job.queued", "job.succeeded")
        assert updates[-1].job.status == "succeeded"
        published = next(event for event in told if event.code == "version.published")
        assert published.data["ref"] == "mood@1"
        later = jobs_pb2.WatchRequest(id=job["id"], after=told[-2].number)
        first = await anext(aiter(rpc.jobs.Watch(later)))
        assert first.event.code == "job.succeeded"


async def test_events_and_checkpoints_come_in_pages_over_both_transports(tmp_path: Path) -> None:
    async with (
        running(tmp_path, train=True) as server,
        grpc_client(server) as rpc,
        http_client(server) as http,
    ):
        file = await upload(http, rows())
        body = {"task": "mood", "file_id": file["id"], "settings": {"epochs": 2}}
        job = (await http.post("/v1/jobs", json=body)).json()
        path = f"/v1/jobs/{job['id']}"
        async with http.stream("GET", f"{path}/events", params={"stream": "true"}) as answer:
            lines = [
                line.removeprefix("data: ")
                async for line in answer.aiter_lines()
                if line.startswith("data: ")
            ]
        streamed = [json.loads(line) for line in lines[:-1]]
        assert lines[-1] == "[DONE]"
        first = (await http.get(f"{path}/events", params={"limit": 2})).json()
        assert first == {"events": streamed[:2], "has_more": True}
        rest = (await http.get(f"{path}/events", params={"after": 2})).json()
        assert rest == {"events": streamed[2:], "has_more": False}
        request = jobs_pb2.ListJobEventsRequest(id=job["id"], after=1, limit=1)
        listed = await rpc.jobs.ListJobEvents(request)
        assert ([e.number for e in listed.events], listed.has_more) == ([2], True)
        saved = (await http.get(f"{path}/checkpoints")).json()["events"]
        assert saved[-1]["code"] == "version.published"


async def test_a_dry_run_says_what_a_job_would_take_and_queues_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc, http_client(server) as http:
        file = await upload(http, rows())
        body = {"task": "mood", "file_id": file["id"], "dry_run": True}
        answer = await http.post("/v1/jobs", json=body)
        found = answer.json()
        assert (answer.status_code, found["basis"]) == (200, "measured")
        assert found["rows"] == {"train": 43, "dev": 5, "test": 12}
        request = jobs_pb2.CreateJobRequest(task_id="mood", file_id=file["id"])
        over_grpc = await rpc.jobs.EstimateJob(request)
        assert (over_grpc.steps, over_grpc.tokens) == (found["steps"], found["tokens"])
        assert dict(over_grpc.rows) == found["rows"]
        presets = [(each.preset, each.summary, each.chosen) for each in over_grpc.presets]
        assert [preset for preset, *_ in presets] == ["fast", "balanced", "thorough"]
        assert presets == [
            (each["preset"], each["summary"], each["chosen"]) for each in found["presets"]
        ]
        bad = await http.post("/v1/jobs", json={**body, "settings": {"epochs": 0}})
        assert bad.json()["code"] == "bad_setting"
        assert (await http.get("/v1/jobs")).json()["jobs"] == []


async def test_metadata_comes_back_with_the_job_over_both_transports(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc, http_client(server) as http:
        file = await upload(http, rows())
        job = await rpc.jobs.CreateJob(
            jobs_pb2.CreateJobRequest(
                task_id="mood", file_id=file["id"], metadata={"team": "blue"}, suffix="x"
            )
        )
        assert dict(job.metadata) == {"team": "blue"}
        spec = (await http.get(f"/v1/jobs/{job.id}")).json()["spec"]
        assert (spec["metadata"], spec["suffix"]) == ({"team": "blue"}, "x")
        assert "tenant" not in spec
