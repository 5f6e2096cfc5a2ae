"""What a caller says of a head when registering: kept, completed or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc
import pytest

from adapterd.v1.private_pool import Struct
from engine.testing.fake_engine import write_fake_adapter
from tests.server.build import grpc_client, http_client, registry_of, running
from tests.server.test_adapters import messages, parts


def head_of(server: Any, task: str) -> dict[str, Any]:
    head: dict[str, Any] = registry_of(server).resolve("default", task).manifest.semantics["head"]
    return head


async def test_other_settings_of_the_head_come_by_name_over_http(tmp_path: Path) -> None:
    adapter = write_fake_adapter(tmp_path / "adapter", ["a", "b"])
    async with running(tmp_path / "data") as server, http_client(server) as http:
        said = {"input": "pair", "multi_label": True, "threshold": 0.25}
        data = {"head_settings": json.dumps(said)}
        answer = await http.post("/v1/tasks/mood/versions", files=parts(adapter), data=data)
        assert answer.status_code == 201, answer.text
        head = head_of(server, "mood")
        assert {name: head[name] for name in said} == said


async def test_whole_numbers_stay_whole_over_grpc(tmp_path: Path) -> None:
    head = {"kind": "tag", "labels": ["O", "B-x"]}
    adapter = write_fake_adapter(tmp_path / "adapter", head=head)
    async with running(tmp_path / "data") as server, grpc_client(server) as rpc:
        said = Struct()
        said.update({"window": 64, "stride": 8})
        await rpc.adapters.Register(messages(adapter, task_id="names", head_settings=said))
        found = head_of(server, "names")
        assert (found["window"], found["stride"]) == (64, 8)
        assert all(isinstance(found[name], int) for name in ("window", "stride"))


@pytest.mark.parametrize(
    ("settings", "code", "sentence"),
    [
        ('{"colour": "red"}', "bad_request", "no setting 'colour'"),
        ('{"kind": "tag"}', "bad_request", "kind is set twice"),
        ('{"window": 64}', "bad_request", "A classify head has no setting 'window'"),
        ('{"input": "question"}', "bad_adapter", "takes text or pair"),
        ("[1]", "bad_request", "not a JSON object"),
        ("{", "bad_request", "not JSON"),
        ('{"threshold": 0.1, "threshold": 0.9}', "bad_request", "key 'threshold' appears twice"),
        ('{"prompt": {"instruction": "a", "instruction": "b"}}', "bad_request", "appears twice"),
        (r'{"labels": ["a", "\ud800"]}', "bad_request", "unpaired surrogate"),
        ('{"threshold": 18446744073709551616}', "bad_request", "out of range"),
        ('{"threshold": NaN}', "bad_request", "not a JSON number"),
    ],
)
async def test_settings_the_head_does_not_have_are_refused(
    tmp_path: Path, settings: str, code: str, sentence: str
) -> None:
    adapter = write_fake_adapter(tmp_path / "adapter")
    async with running(tmp_path / "data") as server, http_client(server) as http:
        data = {"head": "classify", "head_settings": settings}
        answer = await http.post("/v1/tasks/mood/versions", files=parts(adapter), data=data)
        assert answer.json()["code"] == code
        assert sentence in answer.json()["detail"]


@pytest.mark.parametrize("value", [1e300, float("nan"), float("inf")])
async def test_numbers_that_json_or_64_bits_cannot_hold_are_refused_over_grpc(
    tmp_path: Path, value: float
) -> None:
    adapter = write_fake_adapter(tmp_path / "adapter")
    async with running(tmp_path / "data") as server, grpc_client(server) as rpc:
        said = Struct()
        said.update({"threshold": value})
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await rpc.adapters.Register(messages(adapter, task_id="mood", head_settings=said))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
