"""Every route and method, with a key of another tenant on things that exist; and routes that nobody
gave a role.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from adapterd.v1 import predictor_pb2
from server.errors import StartFailed
from server.grpc_api import methods as grpc_methods
from server.http_api import route as http_route
from server.main import Server
from tests.server.build import Grpc, grpc_client, http_client, publish, registry_of
from tests.server.test_auth import GRPC_METHODS, HTTP_ROUTES, guarded
from tests.server.test_fine_tuning import ADAPTER, method
from tests.server.test_jobs import rows

#: a tenant makes a task of this name its own, whoever else has one
REGISTERS = {"POST /v1/tasks/{task}/versions", "adapterd.v1.Adapters.Register"}
#: they list what is the caller's own, and are compared by themselves
LISTS = {
    "GET /v1/tasks", "GET /v1/files", "GET /v1/jobs", "GET /v1/fine_tuning/jobs", "GET /v1/models",
    "GET /v1/audit", "GET /v1/versions", "adapterd.v1.Tasks.ListTasks", "adapterd.v1.Jobs.ListJobs",
}  # fmt: skip
#: nothing of a tenant is named in them
NAMELESS = {"POST /v1/files", "GET /v1/info", "DELETE /v1/tenant"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Things:
    """Names to ask for: of things that another tenant has, or that nobody has."""

    task: str
    file: str
    job: str
    sha256: str

    def hidden(self, text: str) -> str:
        """The text with these names, and how long it took, made alike."""
        for name in (self.task, self.file, self.job, self.sha256):
            text = text.replace(name, "it")
        return re.sub(r'(total_ms"?: ?)[0-9.e-]+', r"\1", text)


@asynccontextmanager
async def two_tenants(directory: Path) -> AsyncIterator[tuple[Server, str, str, Things, Things]]:
    """A server, a key of each tenant, what the first has, and what nobody has."""
    async with guarded(directory) as (server, keys), http_client(server, keys["admin"]) as ours:
        sha256 = hashlib.sha256(rows()).hexdigest()
        for seed in range(2):
            lineage = {"dataset": {"sha256": {"train": sha256}, "columns": {}}}
            publish(registry_of(server), "mood", seed=seed, tenant="acme", lineage=lineage)
        file = (
            await ours.post(
                "/v1/files", files={"file": ("a", rows())}, data={"purpose": "fine-tune"}
            )
        ).json()
        job = (await ours.post("/v1/jobs", json={"task": "mood", "file_id": file["id"]})).json()
        real = Things(task="mood", file=file["id"], job=job["id"], sha256=sha256)
        nobody = Things(
            task="none", file=_other(real.file), job=_other(real.job), sha256=_other(real.sha256)
        )
        yield server, keys["admin"], keys["globex"], real, nobody


def _other(name: str) -> str:
    return name[:-8] + "0" * 8


def named_by(names: Things, route: str) -> tuple[str, Any]:
    """The path and the body of a call that names these things."""
    path = route.split(" ")[1]
    for part, name in {
        "{ref}": names.task, "{ref:path}": names.task, "{task}": names.task, "{number}": "1",
        "{alias}": "production", "{file_id}": names.file, "{job_id}": names.job,
    }.items():  # fmt: skip
        path = path.replace(part, name)
    bodies: dict[str, Any] = {
        "POST /v1/tasks/{ref}/predict": {"inputs": ["x"]},
        "POST /v1/predict": {"tasks": [names.task], "inputs": ["x"]},
        "POST /v1/completions": {"model": names.task, "prompt": "x"},
        "POST /v1/chat/completions": {
            "model": names.task,
            "messages": [{"role": "user", "content": "x"}],
        },
        "POST /v1/embeddings": {"model": names.task, "input": "x"},
        "PUT /v1/tasks/{task}/aliases/{alias}": {"version": 2},
        "POST /v1/files/{file_id}/check": {"head": "classify"},
        "POST /v1/jobs": {"task": "own", "file_id": names.file},
        "POST /v1/fine_tuning/jobs": {
            "model": "fake",
            "training_file": names.file,
            "method": method(ADAPTER),
        },
    }
    return path, bodies.get(route)


@pytest.mark.survival("B2")
async def test_no_http_route_tells_another_tenants_things_from_none(tmp_path: Path) -> None:
    async with two_tenants(tmp_path) as (server, key, foreign, real, nobody):
        async with http_client(server, foreign) as theirs, http_client(server, key) as ours:
            before = await _state(ours, real)
            for verb, path in HTTP_ROUTES:
                route = f"{verb} {path}"
                if http_route.ROLES[route] is None or route in REGISTERS | LISTS | NAMELESS:
                    continue
                answers = []
                for names in (real, nobody):
                    where, body = named_by(names, route)
                    assert (where, body) != (path, None), f"{route} names nothing"
                    answer = await theirs.request(verb, where, json=body)
                    answers.append((answer.status_code, _without_request(answer, names)))
                assert answers[0] == answers[1], route
                status, text = answers[0]
                # a call of many tasks says of each of them that it is not there
                assert status == (200 if route == "POST /v1/predict" else 404), route
                assert "unknown_" in text or "model_not_found" in text, (route, text)
            for route in LISTS:
                if route.startswith("GET"):
                    params = {"dataset": real.sha256} if route.endswith("versions") else {}
                    said = (await theirs.get(route.split(" ")[1], params=params)).text
                    assert real.hidden(said) == said, route
            assert await _state(ours, real) == before


async def _state(http: httpx.AsyncClient, names: Things) -> list[Any]:
    """Everything of the tenant's that a call could have changed."""
    paths = [
        f"/v1/tasks/{names.task}", f"/v1/tasks/{names.task}/versions", f"/v1/jobs/{names.job}",
        f"/v1/tasks/{names.task}/aliases/production/history", f"/v1/files/{names.file}",
    ]  # fmt: skip
    answers = [await http.get(path) for path in paths]
    assert {answer.status_code for answer in answers} == {200}
    return [answer.json() for answer in answers]


def _without_request(answer: httpx.Response, names: Things) -> str:
    return names.hidden(answer.text).replace(answer.headers["x-request-id"], "")


@pytest.mark.survival("B2")
async def test_no_grpc_method_tells_another_tenants_things_from_none(tmp_path: Path) -> None:
    async with two_tenants(tmp_path) as (server, key, foreign, real, nobody):
        async with grpc_client(server) as rpc, http_client(server, key) as ours:
            before = await _state(ours, real)
            for method in GRPC_METHODS:
                if method.full_name in REGISTERS:
                    continue
                answers = []
                for names in (real, nobody):
                    request = _request(method, names)
                    assert request.ByteSize() or method.full_name in LISTS, method.full_name
                    answers.append(names.hidden(await _said(rpc, method, request, foreign)))
                assert answers[0] == answers[1], method.full_name
                if method.full_name in LISTS:
                    assert answers[0] == "OK", method.full_name
                else:
                    assert re.search("NOT_FOUND|unknown_task", answers[0]), method.full_name
            assert await _state(ours, real) == before


def _request(method: Any, names: Things) -> Message:
    """The method's request, with every field filled that names something."""
    request = GetMessageClass(method.input_type)()
    given: dict[str, Any] = {
        "task_id": names.task, "task_ids": [names.task], "file_id": names.file, "id": names.job,
        "alias": "production", "version": 2, "head": "classify",
        "inputs": [predictor_pb2.Input(text="x")],
    }  # fmt: skip
    for field in method.input_type.fields:
        if isinstance(given.get(field.name), list):
            getattr(request, field.name).extend(given[field.name])
        elif field.name in given:
            setattr(request, field.name, given[field.name])
    return request


async def _said(rpc: Grpc, method: Any, request: Message, key: str) -> str:
    """What the caller is told, the id of its call left out."""
    name = f"/{method.containing_service.full_name}/{method.name}"
    answers: list[str] = []
    call = rpc.channel.unary_stream(
        name,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )(request, metadata=(("authorization", f"Bearer {key}"),), timeout=10)
    try:
        async for answer in call:
            answers.append(str(answer))
    except grpc.aio.AioRpcError as error:
        told = {
            each: value
            for each, value in (error.trailing_metadata() or ())
            if each not in ("x-request-id", "grpc-status-details-bin")
        }
        return f"{error.code().name} {error.details()} {told}"
    return "OK" + "".join(answers)


@pytest.mark.survival("B3")
def test_an_http_route_without_a_role_stops_the_start() -> None:
    async def handler() -> None: ...

    with pytest.raises(StartFailed, match="GET /v1/new has no role"):
        http_route.GuardedRoute("/v1/new", handler, methods=["GET"])
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.router.routes.append(APIRoute("/v1/new", handler, methods=["GET"]))
    with pytest.raises(StartFailed, match="is not guarded"):
        http_route.check_routes(app)


@pytest.mark.survival("B3")
async def test_a_grpc_method_without_a_role_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(grpc_methods.ROLES, "adapterd.v1.Jobs.CancelJob")
    with pytest.raises(StartFailed, match=r"adapterd\.v1\.Jobs\.CancelJob has no role"):
        async with guarded(tmp_path):
            pass
