"""Who may do what: the live route tables of both transports, without keys and with each role.
Across tenants: tests/survival/test_callers.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from adapterd.v1 import adapters_pb2, checks_pb2, jobs_pb2, predictor_pb2, tasks_pb2
from server.auth.caller import Role
from server.auth.key_file import create_key, revoke_key
from server.grpc_api import methods as grpc_methods
from server.health import Health
from server.http_api.app import build_routes
from server.http_api.middleware import PUBLIC
from server.http_api.route import ROLES, GuardedRoute
from server.main import Server
from tests.server.build import Grpc, grpc_client, http_client, publish, registry_of, running

HTTP_ROUTES = sorted(
    (method, route.path)
    for route in build_routes(None, Health(), "0").routes
    if isinstance(route, GuardedRoute)
    for method in route.methods
)
GRPC_METHODS = [
    method
    for module in (adapters_pb2, checks_pb2, jobs_pb2, predictor_pb2, tasks_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


@asynccontextmanager
async def guarded(directory: Path) -> AsyncIterator[tuple[Server, dict[str, str]]]:
    """A server with a key file: a key of each role for tenant acme, and an admin of globex."""
    keys_file = directory / "keys.jsonl"
    keys = {role.name.lower(): create_key(keys_file, "acme", role.name.lower())[1] for role in Role}
    keys["globex"] = create_key(keys_file, "globex", "admin")[1]
    async with running(directory / "data", keys_file=keys_file) as server:
        yield server, keys


def concrete(path: str) -> str:
    for name, value in {
        "{ref}": "mood",
        "{ref:path}": "mood",
        "{task}": "mood",
        "{number}": "1",
        "{alias}": "production",
        "{file_id}": "file-1",
        "{job_id}": "job-1",
    }.items():
        path = path.replace(name, value)
    return path


def code_of(answer: httpx.Response) -> str:
    """As either surface names it."""
    body = answer.json()
    return str(body.get("code") or body["error"]["code"])


async def status_of(call: Any) -> tuple[grpc.StatusCode, dict[str, Any]]:
    try:
        async for _ in call if hasattr(call, "__aiter__") else _once(call):
            pass
    except grpc.aio.AioRpcError as error:
        return error.code(), dict(error.trailing_metadata() or ())
    return grpc.StatusCode.OK, {}


async def _once(call: Any) -> AsyncIterator[Any]:
    yield await call


def invoke(rpc: Grpc, method: Any, key: str | None) -> Any:
    """Any method of any shape, with an empty request; a stream of requests has none, because a
    client whose message meets a call that was refused already reports an error of its own.
    """
    name = f"/{method.containing_service.full_name}/{method.name}"
    request = GetMessageClass(method.input_type)()
    shape = {
        (False, False): rpc.channel.unary_unary,
        (True, False): rpc.channel.stream_unary,
        (False, True): rpc.channel.unary_stream,
    }[method.client_streaming, method.server_streaming]
    stub = shape(
        name,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    metadata = (("authorization", f"Bearer {key}"),) if key else ()
    return stub(iter(()) if method.client_streaming else request, metadata=metadata)


@pytest.mark.survival("B1")
async def test_no_http_route_answers_without_a_key_but_the_public_list(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (server, _), http_client(server) as http:
        assert len(HTTP_ROUTES) > 20
        for method, path in [*HTTP_ROUTES, ("GET", "/openapi.json"), ("GET", "/docs")]:
            answer = await http.request(method, concrete(path))
            assert (answer.status_code != 401) == (path in PUBLIC), (method, path)
            if answer.status_code == 401:
                assert code_of(answer) in ("unauthenticated", "invalid_api_key")
                assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.survival("B1")
async def test_no_unknown_path_says_so_without_a_key(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (server, keys), http_client(server) as http:
        assert (await http.get("/v1/secret")).status_code == 401
        assert (await http.get("/metrics")).status_code == 401
        known = {"authorization": f"Bearer {keys['read']}"}
        assert (await http.get("/v1/secret", headers=known)).json()["code"] == "no_such_route"


@pytest.mark.survival("B1")
async def test_no_grpc_method_answers_without_a_key(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (server, _), grpc_client(server) as rpc:
        assert len(GRPC_METHODS) > 15
        for method in GRPC_METHODS:
            status, trailers = await status_of(invoke(rpc, method, None))
            assert status is grpc.StatusCode.UNAUTHENTICATED, method.full_name
            assert trailers["adapterd-code"] == "unauthenticated"


@pytest.mark.survival("B1")
@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_needs_a_key_and_health_does_not(tmp_path: Path, version: str) -> None:
    async with guarded(tmp_path) as (server, keys), grpc_client(server) as rpc:
        reflect = rpc.channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        # nothing is written, for the reason that `invoke` gives
        assert await reflect().code() is grpc.StatusCode.UNAUTHENTICATED
        metadata = (("authorization", f"Bearer {keys['read']}"),)
        async for answer in reflect(iter([ask]), metadata=metadata):
            names = {service.name for service in answer.list_services_response.service}
            assert {"adapterd.v1.Predictor", "grpc.health.v1.Health"} <= names
        health = health_pb2_grpc.HealthStub(rpc.channel)
        for name in ("", "adapterd.v1.Predictor"):
            checked = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert checked.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.survival("B3")
def test_every_route_of_the_tables_is_live() -> None:
    assert {f"{method} {path}" for method, path in HTTP_ROUTES} == set(ROLES)
    live = {method.full_name for method in GRPC_METHODS}
    assert live == {name for name in grpc_methods.ROLES if name.startswith("adapterd.")}


async def test_a_role_opens_what_it_includes_and_nothing_more(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (server, keys), http_client(server) as http:
        for name, needed in ROLES.items():
            method, path = name.split(" ")
            for role in Role:
                known = {"authorization": f"Bearer {keys[role.name.lower()]}"}
                answer = await http.request(method, concrete(path), headers=known)
                refused = needed is not None and role < needed
                assert (answer.status_code == 403) == refused, (name, role)


async def test_a_role_opens_over_grpc_what_it_includes_and_nothing_more(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (server, keys), grpc_client(server) as rpc:
        for method in GRPC_METHODS:
            for role in Role:
                status, _ = await status_of(invoke(rpc, method, keys[role.name.lower()]))
                refused = role < grpc_methods.ROLES[method.full_name]
                assert (status is grpc.StatusCode.PERMISSION_DENIED) == refused, method.full_name


@pytest.mark.survival("B1")
@pytest.mark.parametrize(
    "header",
    ["Bearer nonsense", "Bearer adk_x_y", "Basic YTpi", "bearer", "Bearer adk__", "é"],
)
async def test_a_wrong_key_is_no_key(tmp_path: Path, header: str) -> None:
    async with guarded(tmp_path) as (server, _), http_client(server) as http:
        answer = await http.get("/v1/tasks", headers={"authorization": header.encode()})  # type: ignore[dict-item]
        assert answer.status_code == 401


async def test_the_right_id_with_a_wrong_secret_is_refused(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (server, keys), http_client(server) as http:
        prefix, key_id, _ = keys["admin"].split("_")
        known = {"authorization": f"Bearer {prefix}_{key_id}_{'0' * 64}"}
        assert (await http.get("/v1/tasks", headers=known)).status_code == 401


@pytest.mark.survival("B6")
async def test_a_revoked_key_stops_working_within_its_bound(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (server, keys), http_client(server, keys["read"]) as http:
        assert (await http.get("/v1/tasks")).status_code == 200
        revoke_key(tmp_path / "keys.jsonl", keys["read"].split("_")[1])
        import asyncio

        await asyncio.sleep(1.1)
        assert (await http.get("/v1/tasks")).status_code == 401


@pytest.mark.survival("B8")
async def test_no_header_but_the_key_chooses_the_tenant(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (server, keys), http_client(server, keys["globex"]) as http:
        publish(registry_of(server), "mood", tenant="acme")
        spoofed = {"x-tenant": "acme", "x-forwarded-user": "acme", "tenant": "acme"}
        assert (await http.get("/v1/tasks/mood", headers=spoofed)).status_code == 404


@pytest.mark.survival("B9")
async def test_a_page_from_elsewhere_cannot_reach_an_open_server(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        assert (await http.get("/v1/tasks")).status_code == 200
        for headers in (
            {"host": "evil.example"},
            {"origin": "https://evil.example"},
            {"origin": "http://["},
            {"origin": "null"},
        ):
            answer = await http.get("/v1/tasks", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "foreign_host")
