"""Adapters of strangers: what is junk never reaches the engine that everybody shares."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import numpy as np
import pytest
from safetensors.numpy import save

from engine.port import Inspect
from engine.testing.fake_engine import FakeEngine, write_fake_adapter
from tests.server.build import http_client, running

CONFIG = {
    "peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["zzz"], "task_type": "SEQ_CLS"
}  # fmt: skip


LORA_OF_ANOTHER_BASE = {
    "base_model.model.zzz.0.lora_A.weight": np.ones((1, 8), np.float32),
    "base_model.model.zzz.0.lora_B.weight": np.ones((8, 1), np.float32),
}


async def registered(http: httpx.AsyncClient, config: bytes, weights: bytes) -> httpx.Response:
    files = [
        ("files", ("adapter_config.json", config)),
        ("files", ("adapter_model.safetensors", weights)),
    ]
    return await http.post("/v1/tasks/mood/versions", files=files, data={"labels": "no,yes"})


@pytest.mark.survival("A9")
@pytest.mark.parametrize(
    ("tensors", "code"),
    [
        (LORA_OF_ANOTHER_BASE, "no_matching_site"),
        ({"base_model.model.zzz.0.weight": np.full(3, np.nan, np.float32)}, "non_finite_tensor"),
        ({"base_model.model.score.weight": np.ones((2**15, 1024), np.float16)}, "bad_adapter"),
    ],
)
async def test_what_is_no_adapter_of_the_base_is_refused_before_the_engine_reads_it(
    tmp_path: Path, tensors: dict[str, np.ndarray], code: str
) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as server, http_client(server) as http:
        answer = await registered(http, json.dumps(CONFIG).encode(), save(tensors))
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert not any(isinstance(step, Inspect) for step in engine.steps)


async def test_what_passes_is_asked_of_the_engine_once(tmp_path: Path) -> None:
    engine, adapter = FakeEngine(), write_fake_adapter(tmp_path / "adapter")
    config, weights = (
        (adapter / name).read_bytes()
        for name in ("adapter_config.json", "adapter_model.safetensors")
    )
    async with running(tmp_path / "data", engine) as server, http_client(server) as http:
        answer = await registered(http, config, weights)
    assert answer.status_code == 201, answer.text
    assert sum(isinstance(step, Inspect) for step in engine.steps) == 1


async def test_more_than_the_server_holds_of_adapters_is_refused(tmp_path: Path) -> None:
    weights = save({"base_model.model.score.weight": np.ones((2**10, 512), np.float16)})
    async with (
        running(tmp_path, host_bytes=2**20) as server,
        http_client(server) as http,
    ):
        answer = await registered(http, json.dumps(CONFIG).encode(), weights)
    assert answer.status_code == 422
    assert "host_bytes" in answer.json()["detail"]
