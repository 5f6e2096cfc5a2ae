"""Rows that come and go at any step, on tiny pools, write what stock `generate` writes alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import port
from engine.config import EngineConfig
from engine.engine import Engine
from tests.contracts.engine_under_test import EngineUnderTest
from tests.contracts.generator import Reference, StepGenerator
from tests.contracts.test_generate import HEAD, _peft, stock
from tests.contracts.tiny import build_base

LENGTH = 20
TEXT = [3 + (7 * i * i + i) % 110 for i in range(40)]
#: beginnings of one text, with and without a word of their own after it
PROMPTS = [TEXT[:n] + tail for n in (1, 15, 16, 18, 33, 40) for tail in ([], [7])]
NUM_BLOCKS = 7
BASES: dict[str, dict[str, Any]] = {
    # queries share keys
    "llama": {},
    # a window longer than a block, so that some are left out
    "gemma3": {"sliding_window": 20},
}

BEGIN = st.fixed_dictionaries(
    {
        "ids": st.sampled_from(PROMPTS),
        "version": st.integers(0, 2),
        "length": st.integers(1, LENGTH),
        "salt": st.sampled_from(["", "a", "b"]),
    }
)
#: what happens before a step, and the step: whom it leaves out, how it ranks, what may be read
STEP = st.fixed_dictionaries(
    {
        "begin": st.lists(BEGIN, max_size=3),
        "release": st.booleans(),
        "backwards": st.booleans(),
        "left_out": st.integers(0, 1),
        "max_tokens": st.sampled_from([1, 5, 17, 200]),
        "num_tokens": st.integers(1, 3),
    }
)
Setting = tuple[EngineUnderTest, list[str | None], Reference]


@pytest.fixture(scope="module", params=sorted(BASES))
def setting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    folder = tmp_path_factory.mktemp("machine")
    base = build_base(request.param, folder / "base", **BASES[request.param])
    under_test = EngineUnderTest(_engine(base, 2**20), folder / "make_engine")
    runner: Any = under_test.engine._generation._runner
    under_test = EngineUnderTest(
        _engine(base, NUM_BLOCKS * runner._pool.block_bytes), folder / "make_engine"
    )
    models: dict[str | None, Any] = {None: stock(base)}
    for seed in (0, 1):
        directory, model = _peft(base, request.param, seed, folder / f"peft{seed}")
        models[under_test.load(directory, HEAD)] = model
    return under_test, list(models), Reference(models, LENGTH)


def _engine(base: Path, num_bytes: int) -> Engine:
    return Engine(
        EngineConfig(
            base=str(base), dtype="float32", threads=1, num_slots=2, kv_cache_bytes=num_bytes
        )
    )


@pytest.mark.survival("D6")
@given(steps=st.lists(STEP, min_size=1, max_size=8))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_rows_write_what_each_writes_alone_whatever_happens_around_them(
    setting: Setting, steps: list[dict[str, Any]]
) -> None:
    under_test, digests, reference = setting
    author = StepGenerator(
        under_test, {digest: slot for slot, digest in enumerate(digests[1:], 1) if digest}
    )
    asked: dict[int, tuple[str | None, list[int], int]] = {}
    for step in steps:
        for begin in step["begin"]:
            digest = digests[begin["version"]]
            ids, length, salt = begin["ids"], begin["length"], begin["salt"]
            asked[author.begin(ids, digest, length, salt=salt)] = (digest, ids, length)
        if step["release"] and author.going:
            author.release(author.going[0])
        going = author.going[step["left_out"] :]
        going = going[::-1] if step["backwards"] else going
        author.step(going, max_tokens=step["max_tokens"], num_tokens=step["num_tokens"])
        stats = under_test.ask(port.Stats())
        assert stats.used_blocks <= stats.num_blocks == NUM_BLOCKS
    author.finish()
    assert not author.failures
    for key, written in author.texts.items():
        assert reference.agrees(*asked[key], written), (key, asked[key])
    assert under_test.ask(port.Stats()).used_blocks == 0
