"""A prompt is a version without weights: registered, resolved and answered like any other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapterd.client.async_client import AsyncClient
from adapterd.values import Completion
from engine import port
from engine.config import EngineConfig
from engine.errors import BadAdapter
from engine.runtime.in_thread import ThreadEngine
from engine.testing.fake_base import fake_info
from engine.text.prompts import Prompter
from engine.text.tokenizer import Tokenizer
from server.main import Server
from server.pools.work_pool import WorkPool
from server.service.generate.prompts import PromptReader
from tests.contracts.tiny import build_base
from tests.server.build import http_client, running

PROMPT = {"instruction": "w3 w4", "examples": [{"input": "w5", "output": "w6"}]}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadEngine]:
    folder = build_base("llama", tmp_path_factory.mktemp("llama"))
    engine = ThreadEngine(EngineConfig(base=str(folder), dtype="float32", threads=1, num_slots=4))
    yield engine
    engine.close()


async def register(server: Server, task: str, head: str, **settings: Any) -> tuple[int, Any]:
    form = {"head": head, "head_settings": json.dumps(settings)}
    async with http_client(server) as http:
        answer = await http.post(f"/v1/tasks/{task}/versions", data=form)
        return answer.status_code, answer.json()


async def test_a_prompt_is_registered_without_files_and_answers_as_the_base_does(
    tmp_path: Path, engine: ThreadEngine
) -> None:
    async with running(tmp_path, engine) as server:
        status, version = await register(server, "draft", "generate", prompt=PROMPT, max_tokens=6)
        assert (status, version["kind"]) == (201, "prompt")
        _, other = await register(server, "plain", "generate", max_tokens=6)
        assert other["digest"] != version["digest"]
        async with http_client(server) as http:
            body = {"inputs": ["w7 w8"]}
            answer = (await http.post("/v1/tasks/draft/predict", json=body)).json()
        info = engine.info
        tokenizer = Tokenizer(info.tokenizer_json, info.max_tokens)
        ids = Prompter(info, tokenizer).tokens("w7 w8", {"format": "plain", "prompt": PROMPT})
        begin = port.StartSequence(key=2**50, row=port.Row.of(ids=ids), max_tokens=6)
        decoded = engine.submit(port.Generate(begin=[begin], num_tokens=10)).result()
        assert isinstance(decoded, port.Generated)
        assert isinstance(decoded.rows[0], port.SequenceOutput)
        written = decoded.rows[0].ids
        assert answer["outputs"][0]["text"] == tokenizer.text(written)
        assert answer["outputs"][0]["usage"]["prompt_tokens"] == len(ids)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"prompt": "Be kind."}, "prompt"),
        ({"prompt": {"examples": [{"input": "a"}]}}, "examples"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"parse": "poem"}, "parse"),
        (
            {"prompt": {"instruction": "w3 " * 600}},
            "the prompt has 603 tokens with one letter of input; the base reads at most 64",
        ),
    ],
)
async def test_a_prompt_that_says_nothing_sensible_is_refused(
    tmp_path: Path, engine: ThreadEngine, settings: dict[str, Any], words: str
) -> None:
    async with running(tmp_path, engine) as server:
        status, problem = await register(server, "draft", "generate", **settings)
        assert status == 422
        assert words in problem["detail"]


def test_a_prompt_that_the_chat_template_never_takes_is_refused() -> None:
    template = "{{ raise_exception('no system') if messages[0].role == 'system' else 'ask' }}"
    info = msgspec.structs.replace(fake_info(), chat_templates={"default": template})
    pool = WorkPool("texts", places=1, share=1, max_waiting=1)
    reader = PromptReader(Prompter(info, Tokenizer(info.tokenizer_json, 128)), 128, 1000, pool)
    head = {"kind": "generate", "format": "auto", "prompt": {"instruction": "Be kind."}}
    with pytest.raises(BadAdapter, match=r"every call of this version would fail: .* no system"):
        reader.check(head)
    reader.check({"kind": "generate", "format": "auto"})


async def test_only_a_head_that_writes_comes_without_files(
    tmp_path: Path, engine: ThreadEngine
) -> None:
    async with running(tmp_path, engine) as server:
        status, problem = await register(server, "mood", "classify")
        assert status in (400, 422)
        assert "adapter_config.json" in problem["detail"]


async def test_the_client_registers_a_prompt_without_a_directory(
    tmp_path: Path, engine: ThreadEngine
) -> None:
    async with (
        running(tmp_path, engine) as server,
        AsyncClient(grpc_target=f"127.0.0.1:{server.ports.grpc}") as client,
    ):
        version = await client.register(
            "draft", head="generate", head_settings={"prompt": PROMPT, "max_tokens": 6}
        )
        assert version.kind == "prompt"
        (output,) = (await client.predict("draft", "w7 w8", max_tokens=2)).outputs
        assert isinstance(output, Completion)
        assert output.completion_tokens <= 2
