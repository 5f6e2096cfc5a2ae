"""OpenAI's clients, the one that waits and the one for asyncio, against a tiny real base."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import pytest
import torch
from transformers import AutoModelForCausalLM

from engine.config import EngineConfig
from engine.runtime.in_thread import ThreadEngine
from engine.text.tokenizer import Tokenizer
from server.main import Server
from tests.contracts.tiny import build_base
from tests.server.build import running

PROMPTS = ["w7 w8", "w9 w10 w11", "w12", "w50 w3 w9 w20"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_base("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[ThreadEngine]:
    engine = ThreadEngine(EngineConfig(base=str(folder), dtype="float32", threads=1, num_slots=4))
    yield engine
    engine.close()


def waiting_client(server: Server) -> openai.OpenAI:
    url = f"http://127.0.0.1:{server.ports.http}/v1"
    return openai.OpenAI(api_key="none", base_url=url, http_client=httpx2.Client(trust_env=False))


def asyncio_client(server: Server) -> openai.AsyncOpenAI:
    url = f"http://127.0.0.1:{server.ports.http}/v1"
    http = httpx2.AsyncClient(trust_env=False)
    return openai.AsyncOpenAI(api_key="none", base_url=url, http_client=http)


def stock(folder: Path, engine: ThreadEngine, prompt: str, length: int) -> str:
    """What transformers' own `generate` writes."""
    tokenizer = Tokenizer(engine.info.tokenizer_json, 64)
    model = AutoModelForCausalLM.from_pretrained(folder)
    ids = torch.tensor([tokenizer.ids(prompt, special=True)])
    with torch.inference_mode():
        out = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=length,
        )
    return tokenizer.text(out[0, ids.shape[1] :].tolist())


async def test_greedy_completions_are_stock_generates_text_whole_and_streamed(
    tmp_path: Path, folder: Path, engine: ThreadEngine
) -> None:
    async with running(tmp_path, engine) as server, asyncio_client(server) as api:
        model = (await api.models.list()).data[0].id  # a path
        assert (await api.models.retrieve(model)).id == model
        asked = {"model": model, "temperature": 0, "max_tokens": 12}
        whole = await api.completions.create(prompt=PROMPTS, **asked)
        streams = [
            await api.completions.create(prompt=prompt, stream=True, **asked) for prompt in PROMPTS
        ]
        for prompt, choice, stream in zip(PROMPTS, whole.choices, streams, strict=True):
            pieces = [chunk.choices[0].text async for chunk in stream]
            assert "".join(pieces) == choice.text == stock(folder, engine, prompt, 12)


async def test_the_client_that_waits_reads_streams_too(
    tmp_path: Path, engine: ThreadEngine
) -> None:
    def ask(server: Server) -> tuple[str, str, int]:
        with waiting_client(server) as api:
            model = next(iter(api.models.list())).id
            asked = {"model": model, "prompt": "w7 w8", "temperature": 0, "max_tokens": 8}
            whole = api.completions.create(**asked)
            stream = api.completions.create(
                stream=True, stream_options={"include_usage": True}, **asked
            )
            chunks = list(stream)
            text = "".join(chunk.choices[0].text for chunk in chunks[:-1])
            return whole.choices[0].text, text, chunks[-1].usage.completion_tokens

    async with running(tmp_path, engine) as server:
        whole, streamed, count = await asyncio.to_thread(ask, server)
        assert whole == streamed
        assert 0 < count <= 8


async def test_a_seed_gives_the_same_text_again_in_any_company(
    tmp_path: Path, engine: ThreadEngine
) -> None:
    async with running(tmp_path, engine) as server, asyncio_client(server) as api:
        model = (await api.models.list()).data[0].id

        async def text(seed: int | None, prompt: str = "w7 w8", n: int = 1) -> list[str]:
            answer = await api.completions.create(
                model=model, prompt=prompt, seed=seed, max_tokens=10, n=n, temperature=1.5
            )
            return [choice.text for choice in answer.choices]

        alone = await text(3, n=2)
        crowd = await asyncio.gather(text(3, n=2), *(text(n, p) for n in (1, 9) for p in PROMPTS))
        assert crowd[0] == alone
        assert (await text(4))[0] == alone[1]
        assert alone[0] != alone[1]
        assert len({(await text(None))[0] for _ in range(4)}) > 1


async def test_logprobs_stop_ids_and_shared_beginnings_are_the_engines(
    tmp_path: Path, engine: ThreadEngine
) -> None:
    async with running(tmp_path, engine) as server, asyncio_client(server) as api:
        model = (await api.models.list()).data[0].id
        prompt = " ".join(f"w{n}" for n in range(40))
        first = await api.completions.create(
            model=model,
            prompt=prompt,
            temperature=0,
            max_tokens=8,
            logprobs=2,
        )
        found = first.choices[0].logprobs
        assert found is not None
        assert found.tokens is not None
        assert found.top_logprobs is not None
        assert all(len(top) == 2 for top in found.top_logprobs)
        assert [max(top, key=top.__getitem__) for top in found.top_logprobs] == found.tokens
        ids = Tokenizer(engine.info.tokenizer_json, 64).ids(found.tokens[2], special=False)
        second = await api.completions.create(
            model=model,
            prompt=prompt,
            temperature=0,
            max_tokens=8,
            extra_body={"stop_token_ids": ids},
        )
        assert second.choices[0].finish_reason == "stop"
        assert second.choices[0].text == " ".join(
            found.tokens[: found.tokens.index(found.tokens[2])]
        )
        assert second.usage is not None
        assert second.usage.prompt_tokens_details is not None
        assert second.usage.prompt_tokens_details.cached_tokens == 32  # two blocks of sixteen


@pytest.mark.survival("C6")
async def test_a_row_that_can_never_fit_is_refused_by_status(tmp_path: Path, folder: Path) -> None:
    config = EngineConfig(
        base=str(folder), dtype="float32", threads=1, num_slots=4, kv_cache_bytes=3 * 6144
    )
    engine = ThreadEngine(config)
    try:
        async with running(tmp_path, engine) as server, asyncio_client(server) as api:
            model = (await api.models.list()).data[0].id
            with pytest.raises(openai.UnprocessableEntityError, match="blocks"):
                await api.completions.create(
                    model=model, prompt=" ".join(["w5"] * 55), max_tokens=4, stream=True
                )
    finally:
        engine.close()
