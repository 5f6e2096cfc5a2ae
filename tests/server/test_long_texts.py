"""Long texts: tokenised in threads, part by part, so that one call's megabytes are not a wait for
another's page.
"""

from __future__ import annotations

import asyncio

import pytest

from engine.heads.classify import ClassifyHead
from engine.testing.fake_base import fake_info
from engine.text.tokenizer import Tokenizer
from server.pools.work_pool import WorkPool
from server.service.inputs.tokenization import InputReader
from server.service.resolved_model import ResolvedModel
from server.service.values import Parameters
from tests.server.build import until

MODEL = ResolvedModel(
    name="mood", digest="d", head=ClassifyHead().check({"kind": "classify", "labels": ["a", "b"]})
)


@pytest.mark.survival("C6", "H2")
async def test_a_long_text_gets_its_turn_beside_a_call_of_megabytes() -> None:
    pool = WorkPool("texts", places=1, share=1, max_waiting=10)
    info = fake_info()
    reader = InputReader(Tokenizer(info.tokenizer_json, info.max_tokens), 100_000, pool)
    cut, done = Parameters(truncate=True), list[str]()

    async def read(tenant: str, texts: list[str]) -> None:
        rows = await reader.read(texts, cut, [None] * len(texts), MODEL, tenant)
        assert [row.encoding.num_tokens for row in rows] == [info.max_tokens] * len(texts)
        done.append(tenant)

    large = asyncio.ensure_future(read("acme", ["some words " * 3000] * 20))
    await asyncio.sleep(0)
    await read("globex", ["other words " * 300])
    await large
    assert done == ["globex", "acme"]
    pool.close()


async def test_a_caller_who_is_gone_has_no_more_tokenised() -> None:
    pool = WorkPool("texts", places=1, share=1, max_waiting=10)
    info = fake_info()
    reader = InputReader(Tokenizer(info.tokenizer_json, info.max_tokens), 100_000, pool)
    texts = ["some words " * 3000] * 200
    reading = asyncio.ensure_future(
        reader.read(texts, Parameters(truncate=True), [None] * len(texts), MODEL, "acme")
    )
    await asyncio.sleep(0.05)
    reading.cancel()
    await until(lambda: not pool.num_running)
    assert pool.num_waiting == 0
    pool.close()
