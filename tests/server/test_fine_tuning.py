"""The stock `openai` client trains: files, jobs, events, checkpoints, pausing and cancelling, and
then asks the model, against a server over the fake engine.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from engine.port import Result, Step, Train
from engine.testing.fake_engine import FakeEngine
from server.auth.key_file import create_key
from server.main import Server
from tests.server.build import http_client, publish, registry_of, running
from tests.server.test_jobs import rows

ADAPTER: dict[str, Any] = {"task": "mood", "settings": {"epochs": 2}}


class Gated(FakeEngine):
    """Training steps wait until `gate` is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.begun = threading.Event(), threading.Event()

    def submit(self, step: Step) -> Future[Result]:
        if isinstance(step, Train):
            self.begun.set()
            self.gate.wait(10)
        return super().submit(step)


def api_of(server: Server, key: str = "none") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        api_key=key,
        base_url=f"http://127.0.0.1:{server.ports.http}/v1",
        max_retries=0,
        http_client=httpx2.AsyncClient(trust_env=False),
    )


@asynccontextmanager
async def client(
    directory: Path, engine: Any = None, **changes: Any
) -> AsyncIterator[tuple[openai.AsyncOpenAI, Server]]:
    async with running(directory, engine, **changes) as server, api_of(server) as api:
        yield api, server


async def upload(api: openai.AsyncOpenAI, content: bytes | None = None) -> str:
    file = await api.files.create(file=("mood.jsonl", content or rows()), purpose="fine-tune")
    return file.id


async def create(api: openai.AsyncOpenAI, adapter: Any = None, **given: Any) -> Any:
    asked: dict[str, Any] = {"model": "fake", "method": method(adapter or ADAPTER), **given}
    if "training_file" not in asked:
        asked["training_file"] = await upload(api)
    return await api.fine_tuning.jobs.create(**asked)


def method(adapter: dict[str, Any]) -> dict[str, Any]:
    return {"type": "adapter", "adapter": adapter}


async def ended(api: openai.AsyncOpenAI, job_id: str) -> Any:
    async with asyncio.timeout(20):
        while True:
            job = await api.fine_tuning.jobs.retrieve(job_id)
            if job.finished_at is not None:
                return job
            await asyncio.sleep(0.05)


async def until_phase(api: openai.AsyncOpenAI, job_id: str, phase: str) -> Any:
    async with asyncio.timeout(10):
        while True:
            job = await api.fine_tuning.jobs.retrieve(job_id)
            if job.model_dump()["phase"] == phase:
                return job
            await asyncio.sleep(0.02)


# ---------------------------------------------------------------- the whole way


async def test_from_a_file_to_an_answer_with_nothing_but_the_stock_client(tmp_path: Path) -> None:
    engine = Gated()
    async with client(tmp_path, engine, train=True) as (api, server):
        file = await api.files.create(file=("mood.jsonl", rows()), purpose="fine-tune")
        assert (file.object, file.purpose, file.status) == ("file", "fine-tune", "processed")
        job = await create(api, training_file=file.id, seed=3, metadata={"team": "blue"})
        assert (job.object, job.status, job.model) == ("fine_tuning.job", "queued", "fake")
        assert (job.training_file, job.seed, job.metadata) == (file.id, 3, {"team": "blue"})

        await asyncio.to_thread(engine.begun.wait, 10)
        await api.fine_tuning.jobs.pause(job.id)
        engine.gate.set()
        paused = await until_phase(api, job.id, "paused")
        assert (paused.status, paused.fine_tuned_model) == ("queued", None)
        assert (await api.fine_tuning.jobs.resume(job.id)).model_dump()["phase"] == "waiting"

        done = await ended(api, job.id)
        assert (done.status, done.fine_tuned_model, done.error) == ("succeeded", "mood@1", None)
        told = [event async for event in api.fine_tuning.jobs.list_events(job.id, limit=3)]
        codes = [event.model_dump()["code"] for event in reversed(told)]
        assert codes[:2] == ["job.queued", "job.running"]
        assert codes[-2:] == ["version.published", "job.succeeded"]
        assert "job.paused" in codes
        saved = [each async for each in api.fine_tuning.jobs.checkpoints.list(job.id)]
        assert saved[0].fine_tuned_model_checkpoint == "mood@1"
        for each in saved:
            assert each.step_number == each.metrics.step > 0
            assert each.metrics.train_loss is not None
        assert saved[0].fine_tuning_job_id == job.id
        assert (await api.models.retrieve(done.fine_tuned_model)).id == "mood@1"
        async with http_client(server) as http:
            answer = await http.post(
                f"/v1/tasks/{done.fine_tuned_model}/predict", json={"inputs": ["yay happy"]}
            )
        assert answer.json()["outputs"][0]["label"] in ("glad", "sad")


async def test_a_finished_job_names_a_file_of_its_curves(tmp_path: Path) -> None:
    async with client(tmp_path, train=True) as (api, _):
        done = await ended(api, (await create(api, training_file=await upload(api))).id)
        (file_id,) = done.result_files
        kept = await api.files.retrieve(file_id)
        lines = (await api.files.content(file_id)).text.splitlines()
    assert (kept.purpose, kept.filename) == ("fine-tune-results", f"mood-{done.id}.csv")
    assert lines[0].startswith("step,epoch,train_loss,valid_loss,best,valid_accuracy")
    assert len(lines) == 1 + len(done.model_dump()["result"]["epochs"])


async def test_a_running_job_is_cancelled_and_then_can_neither_pause_nor_resume(
    tmp_path: Path,
) -> None:
    engine = Gated()
    async with client(tmp_path, engine, train=True) as (api, _server):
        job = await create(api)
        await asyncio.to_thread(engine.begun.wait, 10)
        assert (await api.fine_tuning.jobs.cancel(job.id)).status == "running"
        engine.gate.set()
        assert (await ended(api, job.id)).status == "cancelled"
        for move in (api.fine_tuning.jobs.pause, api.fine_tuning.jobs.resume):
            with pytest.raises(openai.ConflictError) as refused:
                await move(job.id)
            assert refused.value.code == "job_ended"


async def test_events_stream_as_they_come_and_end_with_the_job(tmp_path: Path) -> None:
    engine = Gated()
    async with client(tmp_path, engine, train=True) as (api, server):
        job = await create(api)
        path = f"/v1/fine_tuning/jobs/{job.id}/events"
        seen: list[dict[str, Any]] = []
        async with (
            http_client(server) as http,
            http.stream("GET", path, params={"stream": "true"}) as answer,
        ):
            assert answer.headers["content-type"].startswith("text/event-stream")
            async for sent in answer.aiter_lines():
                if not sent.startswith("data: "):
                    continue
                line = sent.removeprefix("data: ")
                if line == "[DONE]":
                    break
                seen.append(json.loads(line))
                engine.gate.set()  # only once the first event is here
        assert seen[0]["code"] == "job.queued"
        assert seen[-1]["code"] == "job.succeeded"
        assert {event["object"] for event in seen} == {"fine_tuning.job.event"}


# ---------------------------------------------------------------- files


async def test_a_file_is_stored_under_a_name_and_found_by_it(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        form = {"purpose": "fine-tune", "name": "reviews"}
        rows = {"file": ("rows.csv", b"text,label\na,b\n")}
        stored = (await http.post("/v1/files", data=form, files=rows)).json()
        assert (stored["name"], len(stored["sha256"])) == ("reviews", 64)
        for which in ({"name": "reviews"}, {"sha256": stored["sha256"]}):
            found = (await http.get("/v1/files", params=which)).json()["data"]
            assert [file["id"] for file in found] == [stored["id"]]
        assert (await http.get("/v1/files", params={"name": "mail"})).json()["data"] == []
        for name in ("Not A Name", "file-1"):
            bad = await http.post("/v1/files", data={**form, "name": name}, files=rows)
            assert bad.status_code == 400
            assert name in bad.json()["detail"]


async def test_files_are_listed_in_pages_either_way_and_by_purpose(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, _server):
        ids = [await upload(api) for _ in range(3)]
        other = await api.files.create(file=("x", b"x"), purpose="user_data")
        assert [f.id async for f in api.files.list(limit=2)] == [other.id, *reversed(ids)]
        assert [f.id async for f in api.files.list(limit=2, order="asc")] == [*ids, other.id]
        assert [f.id async for f in api.files.list(purpose="fine-tune")] == ids[::-1]
        assert (await api.files.content(ids[0])).content == rows()
        assert (await api.files.retrieve(ids[0])).bytes == len(rows())
        assert (await api.files.delete(ids[0])).deleted
        with pytest.raises(openai.NotFoundError) as refused:
            await api.files.retrieve(ids[0])
        assert refused.value.code == "unknown_file"


async def test_a_file_that_is_to_expire_is_refused_rather_than_kept(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, _server):
        with pytest.raises(openai.BadRequestError, match="expire"):
            await api.files.create(
                file=("x", b"x"),
                purpose="fine-tune",
                expires_after={"anchor": "created_at", "seconds": 3600},
            )


# ---------------------------------------------------------------- what is asked for


async def test_hyperparameters_columns_and_settings_are_what_is_trained_with(
    tmp_path: Path,
) -> None:
    content = b"\n".join(
        json.dumps({"body": f"{word} {i}", "tag": word}).encode()
        for i in range(30)
        for word in ("glad", "sad")
    )
    async with client(tmp_path) as (api, _server):
        job = await create(
            api,
            {
                "task": "mood",
                "kind": "bottleneck",
                "columns": {"text": "body", "label": "tag"},
                "settings": {"reduction": 4},
            },
            training_file=await upload(api, content),
            hyperparameters={"n_epochs": 7, "batch_size": "auto", "learning_rate_multiplier": 2},
            suffix="blue",
        )
        shown = job.model_dump()
        adapter = shown["method"]["adapter"]
        assert adapter["columns"]["text"] == "body"
        assert (adapter["kind"], adapter["settings"]["reduction"]) == ("bottleneck", 4)
        assert shown["hyperparameters"]["n_epochs"] == 7
        assert shown["hyperparameters"]["learning_rate_multiplier"] == pytest.approx(2)
        assert (shown["suffix"], adapter["task"]) == ("blue", "mood")
        again = await create(api, adapter | {"task": "mood2"}, training_file=job.training_file)
        assert again.model_dump()["method"]["adapter"] == adapter | {"task": "mood2"}


async def test_a_task_of_ones_own_is_a_model_to_train_the_next_version_of(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, server):
        publish(registry_of(server), "mood", promote=True)
        job = await create(api, {"settings": {"epochs": 2}}, model="mood@1")
        assert job.model_dump()["method"]["adapter"]["task"] == "mood"
        with pytest.raises(openai.NotFoundError) as refused:
            await create(api, model="other@1")
        assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"suffix": "x" * 65}, "suffix"),
        ({"metadata": {"k": "v" * 513}}, "metadata"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"metadata": {"k": 3}}, "metadata[...]"),
        ({"integrations": [{"type": "wandb", "wandb": {"project": "x"}}]}, "integrations"),
        ({"method": {"type": "dpo"}}, "method.type"),
        ({"method": method({"task": "Not A Name"})}, "method.adapter.task"),
        ({"method": method({**ADAPTER, "tenant": "globex"})}, "method.adapter.tenant"),
        ({"method": method({**ADAPTER, "file_id": "x"})}, "method.adapter.file_id"),
        ({"method": method({**ADAPTER, "columns": {"words": "x"}})}, "method.adapter.columns"),
        ({"method": method({**ADAPTER, "promote": "yes"})}, "method.adapter.promote"),
        ({"method": method({**ADAPTER, "settings": {"epochs": 0}})}, "epochs"),
        ({"hyperparameters": {"n_epochs": 3}}, "method.adapter.settings"),
        ({"hyperparameters": {"n_epochs": "many"}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"batch_size": 0}}, "batch_rows"),
        (
            {
                "method": method({**ADAPTER, "kind": "magic"}),
                "hyperparameters": {"learning_rate_multiplier": 2},
            },
            "kind",
        ),
    ],
)
async def test_what_makes_no_sense_is_refused_by_the_name_of_its_field(
    tmp_path: Path, given: dict[str, Any], param: str
) -> None:
    async with client(tmp_path) as (api, _server):
        with pytest.raises(openai.BadRequestError) as refused:
            await create(api, **given)
        assert refused.value.param == param
        assert [job async for job in api.fine_tuning.jobs.list()] == []


# ---------------------------------------------------------------- lists


async def test_jobs_are_listed_in_pages_and_by_their_metadata(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, _server):
        file = await upload(api)
        teams = [{"team": "blue"}, {"team": "red"}, {"team": "blue", "x": 'a"b'}]
        ids = [(await create(api, training_file=file, metadata=t)).id for t in teams]
        jobs = api.fine_tuning.jobs
        assert [job.id async for job in jobs.list(limit=1)] == ids[::-1]
        blue = [job.id async for job in jobs.list(metadata={"team": "blue"})]
        assert blue == [ids[2], ids[0]]
        assert [job.id async for job in jobs.list(metadata={"team": "blue", "x": 'a"b'})] == ids[2:]
        with pytest.raises(openai.BadRequestError, match="limit"):
            await jobs.list(limit=1001)


async def test_events_go_on_behind_an_id_of_their_own_job_only(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, _server):
        job = await create(api)
        await api.fine_tuning.jobs.pause(job.id)
        newest = (await api.fine_tuning.jobs.list_events(job.id, limit=1)).data[0]
        rest = (await api.fine_tuning.jobs.list_events(job.id, after=newest.id)).data
        assert [event.model_dump()["code"] for event in rest] == ["job.queued"]
        for wrong in ("job-x-event-1", f"{job.id}-event-", f"{job.id}-event-\u0661"):
            with pytest.raises(openai.BadRequestError, match="not of this job"):
                await api.fine_tuning.jobs.list_events(job.id, after=wrong)


@pytest.mark.survival("B2")
async def test_another_tenants_files_jobs_and_events_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    keys = {name: create_key(path, name, "admin")[1] for name in ("acme", "globex")}
    async with running(tmp_path, keys_file=path) as server:
        async with api_of(server, keys["acme"]) as ours, api_of(server, keys["globex"]) as theirs:
            job = await create(ours)
            jobs = theirs.fine_tuning.jobs
            for call in (
                jobs.retrieve,
                jobs.cancel,
                jobs.pause,
                jobs.resume,
                jobs.list_events,
                jobs.checkpoints.list,
            ):
                with pytest.raises(openai.NotFoundError) as refused:
                    await call(job.id)
                assert refused.value.code == "unknown_job"
            with pytest.raises(openai.NotFoundError) as refused:
                await create(theirs, training_file=job.training_file)
            assert refused.value.code == "unknown_file"
            assert [each async for each in jobs.list()] == []
            assert [each async for each in theirs.files.list()] == []


async def test_a_stock_call_without_a_word_of_ours_trains_a_base_that_writes(
    tmp_path: Path,
) -> None:
    content = b"\n".join(
        json.dumps({"text": f"say {i}", "label": f"well {i}"}).encode() for i in range(60)
    )
    async with client(tmp_path) as (api, _server):
        job = await api.fine_tuning.jobs.create(
            model="fake",
            training_file=await upload(api, content),
            suffix="echo",
            method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}},
        )
        adapter = job.model_dump()["method"]["adapter"]
        assert (adapter["task"], adapter["head"]) == ("echo", "generate")
        assert adapter["settings"]["epochs"] == 2


async def test_a_dry_run_is_an_estimate_in_place_of_a_job(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, _server):
        found = (await create(api, extra_body={"dry_run": True})).model_dump()
        assert (found["object"], found["basis"]) == ("fine_tuning.estimate", "measured")
        assert found["steps"] > 0
        assert [job async for job in api.fine_tuning.jobs.list()] == []
