"""What a tenant can learn of another's uploads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from engine import port
from engine.testing.fake_engine import FakeEngine, write_fake_adapter
from server.auth.key_file import create_key
from tests.server.build import http_client, publish, registry_of, running
from tests.server.test_adapters import parts

#: of the call or its moment, whoever made it
OWN = {"created_at", "id", "lineage", "date", "content-length", "x-request-id"}


@pytest.mark.survival("D9")
async def test_a_second_tenant_s_upload_of_the_same_bytes_is_answered_like_the_first_s(
    tmp_path: Path,
) -> None:
    adapter = write_fake_adapter(tmp_path / "adapter", ["sad", "glad"])
    keys_file = tmp_path / "keys.jsonl"
    keys = {tenant: create_key(keys_file, tenant, "admin")[1] for tenant in ("acme", "globex")}
    rows = b'{"text": "x", "label": "sad"}\n'
    answers: list[list[Any]] = []
    async with running(tmp_path / "data", keys_file=keys_file) as server:
        for key in keys.values():
            async with http_client(server, key) as http:
                made = await http.post("/v1/tasks/mood/versions", files=parts(adapter))
                sent = await http.post(
                    "/v1/files", files={"file": ("a", rows)}, data={"purpose": "fine-tune"}
                )
                said = await http.post("/v1/tasks/mood/predict", json={"inputs": ["x"]})
                answers.append([_without_own(each) for each in (made, sent)] + [said.status_code])
                again = await http.post("/v1/tasks/mood/versions", files=parts(adapter))
                assert again.json()["version"] == 1  # within the tenant it is known
    assert answers[0] == answers[1]
    assert [each[0] for each in answers[0][:2]] == [201, 200]


@pytest.mark.survival("D9")
async def test_what_one_tenant_deletes_another_keeps(tmp_path: Path) -> None:
    """The bytes are stored once."""
    adapter = write_fake_adapter(tmp_path / "adapter", ["sad", "glad"])
    keys_file = tmp_path / "keys.jsonl"
    keys = [create_key(keys_file, tenant, "admin")[1] for tenant in ("acme", "globex")]
    async with (
        running(tmp_path / "data", keys_file=keys_file) as server,
        http_client(server, keys[0]) as theirs,
        http_client(server, keys[1]) as ours,
    ):
        for http in (theirs, ours):
            await http.post("/v1/tasks/mood/versions", files=parts(adapter))
        before = (await ours.post("/v1/tasks/mood/predict", json={"inputs": ["x"]})).json()
        assert (await theirs.delete("/v1/tasks/mood")).status_code == 204
        after = (await ours.post("/v1/tasks/mood/predict", json={"inputs": ["x"]})).json()
        assert (after["digest"], after["outputs"]) == (before["digest"], before["outputs"])
        assert (await ours.get("/v1/tasks/mood/versions/1/export")).status_code == 200


@pytest.mark.survival("D1")
async def test_what_is_remembered_of_a_prompt_is_kept_under_its_tenant(tmp_path: Path) -> None:
    """Also where both tenants have the very same version."""
    keys_file = tmp_path / "keys.jsonl"
    tenants = ["acme", "globex"]
    engine = FakeEngine()
    head = {"kind": "generate", "format": "plain", "max_tokens": 4}
    keys = [create_key(keys_file, tenant, "use")[1] for tenant in tenants]
    async with running(tmp_path / "data", engine, keys_file=keys_file) as server:
        for tenant, key in zip(tenants, keys, strict=True):
            publish(registry_of(server), "draft", head=head, tenant=tenant)
            async with http_client(server, key) as http:
                asked = {"inputs": ["a secret beginning"]}
                assert (await http.post("/v1/tasks/draft/predict", json=asked)).status_code == 200
                asked = {"model": "draft", "prompt": "a secret beginning", "max_tokens": 4}
                assert (await http.post("/v1/completions", json=asked)).status_code == 200
    writes = [step for step in engine.steps if isinstance(step, port.Generate)]
    begun = [begin for step in writes for begin in step.begin]
    assert [begin.salt for begin in begun] == ["acme", "acme", "globex", "globex"]


def _without_own(answer: httpx.Response) -> tuple[int, dict[str, Any], dict[str, str]]:
    body = {name: value for name, value in answer.json().items() if name not in OWN}
    headers = {name: value for name, value in answer.headers.items() if name not in OWN}
    return answer.status_code, body, headers
