"""A tenant's admin erases a file with all that was made from it, or the whole tenant, over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.auth.key_table import KeyTable
from server.main import Server
from tests.registry.test_datasets import made_from
from tests.server.build import http_client, publish, registry_of, running
from tests.server.test_jobs import rows, upload


def make_key(server: Server, role: str, tenant: str = "acme") -> str:
    return KeyTable(server.parts.data.state.database).create(tenant, role)[1]


@pytest.mark.survival("F7")
async def test_a_file_goes_with_its_versions_once_a_dry_run_has_told_which(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        file = await upload(http, rows())
        registry = registry_of(server)
        publish(registry, "mood", lineage=made_from(file["sha256"]))
        publish(registry, "mood", seed=1, lineage={}, promote=True)
        path = f"/v1/files/{file['id']}?versions=true"
        told = (await http.delete(f"{path}&dry_run=true")).json()
        assert (told["deleted"], told["erasure"]["versions"]) == (False, ["mood@1"])
        assert (await http.get("/v1/tasks/mood/versions/1")).is_success
        done = (await http.delete(path)).json()
        assert (done["deleted"], done["erasure"]) == (True, told["erasure"])
        assert (await http.get("/v1/tasks/mood/versions/1")).status_code == 404
        assert (await http.get("/v1/tasks/mood/versions/2")).is_success
        assert (await http.get(f"/v1/files/{file['id']}")).status_code == 404


async def test_a_dry_run_of_deleting_a_file_alone_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        file = await upload(http, rows())
        answer = await http.delete(f"/v1/files/{file['id']}?dry_run=true")
        assert answer.status_code == 400
        assert "dry_run goes with versions=true" in answer.json()["detail"]
        assert (await http.get(f"/v1/files/{file['id']}")).is_success


@pytest.mark.survival("F7")
async def test_a_tenant_s_admin_erases_it_and_nobody_else_s(tmp_path: Path) -> None:
    async with running(tmp_path, require_keys=True, poll_s=0.01) as server:
        registry = registry_of(server)
        for tenant in ("acme", "globex"):
            publish(registry, "mood", tenant=tenant)
        reader, admin = make_key(server, "use"), make_key(server, "admin")
        async with http_client(server, reader) as http:
            while (await http.get("/v1/tasks")).status_code != 200:
                pass
            assert (await http.delete("/v1/tenant?confirm=acme")).status_code == 403
        async with http_client(server, admin) as http:
            told = (await http.delete("/v1/tenant?dry_run=true")).json()
            assert (told["tenant"], told["versions"]) == ("acme", ["mood@1"])
            unsure = await http.delete("/v1/tenant?confirm=globex")
            assert unsure.status_code == 400
            assert "pass the name of the tenant" in unsure.json()["detail"]
            assert (await http.get("/v1/tasks")).json()["tasks"]
            done = (await http.delete("/v1/tenant?confirm=acme")).json()
            assert (done["versions"], done["num_rows_left"]) == (["mood@1"], 0)
            while (await http.get("/v1/tasks")).status_code != 401:
                pass
        assert not registry.tasks("acme")
        assert registry.tasks("globex")
        [event] = registry.audit.list("acme", limit=1)
        assert (event.change.action, event.actor.tenant) == ("tenant.erase", "acme")


async def test_an_erased_version_leaves_the_memory_of_the_server(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        publish(registry_of(server), "mood")
        body = {"inputs": ["what a day"]}
        assert (await http.post("/v1/tasks/mood/predict", json=body)).is_success
        assert (await http.delete("/v1/tenant?confirm=default")).is_success
        assert (await http.post("/v1/tasks/mood/predict", json=body)).status_code == 404
