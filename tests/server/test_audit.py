"""What callers change is recorded with their key and request, over both transports; keys of the
database open the server.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from adapterd.v1 import adapters_pb2
from adapters_registry.audit.actor import Actor, ActorKind
from adapters_registry.audit.audit_event import AuditEvent
from server.auth.key import Key
from server.auth.key_table import KeyTable
from server.main import Server
from tests.server.build import grpc_client, http_client, publish, registry_of, running


def newest(server: Server, tenant: str = "acme") -> AuditEvent:
    [event] = registry_of(server).audit.list(tenant, limit=1)
    return event


def make_key(server: Server, role: str = "admin", tenant: str = "acme") -> tuple[Key, str]:
    database = server.parts.data.state.database
    key, token = KeyTable(database).create(tenant, role)
    return key, token


@pytest.mark.survival("B6")
async def test_keys_of_the_database_open_both_transports_until_they_are_revoked(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "data", require_keys=True, poll_s=0.01) as server:
        key, token = make_key(server)
        async with http_client(server, token) as http:
            while (await http.get("/v1/tasks")).status_code != 200:
                pass
            KeyTable(server.parts.data.state.database).revoke(key.id)
            while (await http.get("/v1/tasks")).status_code != 401:
                pass
        async with http_client(server) as nobody:
            assert (await nobody.get("/v1/tasks")).status_code == 401


async def test_a_change_over_http_is_recorded_with_key_and_request(tmp_path: Path) -> None:
    async with running(tmp_path / "data", require_keys=True, poll_s=0.01) as server:
        key, token = make_key(server)
        for seed in (1, 2):
            publish(registry_of(server), "mood", tenant="acme", seed=seed)
        async with http_client(server, token) as http:
            while (await http.get("/v1/tasks")).status_code != 200:
                pass
            headers = {"x-request-id": "r-17"}
            path = "/v1/tasks/mood/aliases/production"
            assert (await http.put(path, json={"version": 2}, headers=headers)).is_success
            event = newest(server)
            stale = {"version": 1, "expected_version": 1}
            assert (await http.put(path, json=stale, headers=headers)).status_code in (409, 412)
            refused = newest(server)
    actor = Actor(kind=ActorKind.CALLER, name=key.id, tenant="acme", request_id="r-17")
    assert (event.actor, event.change.action) == (actor, "alias.promote")
    assert (refused.actor, refused.change.outcome) == (actor, "refused")


async def test_a_change_over_grpc_is_recorded_with_key_and_request(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as server, grpc_client(server) as rpc:
        for seed in (1, 2):
            publish(registry_of(server), "mood", seed=seed)
        request = adapters_pb2.PromoteRequest(task_id="mood", version=2, alias="production")
        await rpc.adapters.Promote(request, metadata=(("x-request-id", "r-18"),))
        event = newest(server, "default")
    assert event.actor == Actor(kind=ActorKind.CALLER, tenant="default", request_id="r-18")
