"""The forwards of a device write what stock `generate` writes: on a processor with its kernel
interpreted and recordings run anew each time, on a device as they are.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.contracts.engine_under_test import ROWS, EngineUnderTest
from tests.contracts.test_generate import DECODERS, adapters
from tests.contracts.test_generation import LENGTH, LONG, check, setting
from tests.interpreted import interpreted

__all__ = ["adapters", "interpreted", "setting"]

#: grouped keys and a window; the interpreter takes its time, so the others run with the slow tests
QUICK = ("llama", "gemma3")
FAMILIES = [
    family if family in QUICK else pytest.param(family, marks=pytest.mark.slow)
    for family in DECODERS
]


class Rerun:
    """What a recording replays, computed again."""

    def __init__(self) -> None:
        self.num_recorded = 0

    def capture(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        self.num_recorded += 1
        return run


@pytest.fixture
def on_device(
    interpreted: object, monkeypatch: pytest.MonkeyPatch
) -> Callable[[EngineUnderTest], Rerun]:
    del interpreted

    def make(under_test: EngineUnderTest) -> Rerun:
        from engine.generation.cuda_forward import CudaForward

        runner: Any = under_test.engine._generation._runner
        own, capture = runner._forwards, Rerun()
        forwards = CudaForward(own._base, own._sites, runner._pool, capture)
        monkeypatch.setattr(runner, "_forwards", forwards)
        return capture

    return make


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_of_adapters_and_the_bare_base_write_the_same(
    setting: Any, on_device: Callable[[EngineUnderTest], Rerun], family: str
) -> None:
    under_test, author, reference, digests = setting(family)
    capture = on_device(under_test)
    rows = [(ids, digest) for ids in (ROWS[1], LONG) for digest in digests]
    asked = [(author.begin(ids, digest, LENGTH), ids, digest) for ids, digest in rows]
    author.finish(max_tokens=30)
    check(author, reference, asked)
    assert capture.num_recorded


@pytest.mark.slow
def test_rows_that_come_and_go_share_recordings(
    setting: Any, on_device: Callable[[EngineUnderTest], Rerun]
) -> None:
    under_test, author, reference, digests = setting("llama")
    capture = on_device(under_test)
    asked = []
    for number in range(12):
        ids, digest = ROWS[number % len(ROWS)], digests[number % len(digests)]
        asked.append((author.begin(ids, digest, LENGTH), ids, digest))
        author.step(num_tokens=2)
    author.finish()
    check(author, reference, asked)
    assert 0 < capture.num_recorded <= 4


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_rows_that_come_and_go_at_random_write_what_they_write_alone(
    setting: Any, on_device: Callable[[EngineUnderTest], Rerun], seed: int
) -> None:
    under_test, author, reference, digests = setting("llama")
    capture, chance = on_device(under_test), random.Random(seed)
    asked = []
    for _ in range(30):
        # two ranks and the bare base, now and then all gone: benches are cut to size and made anew
        for _ in range(chance.choice([0, 0, 1, 2])):
            ids, digest = chance.choice(ROWS), chance.choice(digests)
            asked.append((author.begin(ids, digest, LENGTH), ids, digest))
        author.step(num_tokens=chance.randint(1, 6))
    author.finish()
    check(author, reference, asked)
    assert capture.num_recorded


@pytest.mark.slow
def test_rows_of_a_base_that_cannot_be_recorded_write_the_same(
    setting: Any, on_device: Callable[[EngineUnderTest], Rerun], monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.ops.cuda_graph import CaptureFailed

    def refuse(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        run()  # warmed up before it fails
        raise CaptureFailed("operation not permitted when stream is capturing")

    under_test, author, reference, digests = setting("llama")
    monkeypatch.setattr(on_device(under_test), "capture", refuse)
    asked = [(author.begin(ROWS[1], digest, LENGTH), ROWS[1], digest) for digest in digests]
    author.finish(max_tokens=30)
    check(author, reference, asked)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("family", DECODERS)
def test_graphs_of_a_device_write_the_same(setting: Any, family: str) -> None:
    under_test, author, reference, digests = setting(family)
    rows = [(ids, digest) for ids in (*ROWS, LONG) for digest in digests]
    asked = [(author.begin(ids, digest, LENGTH), ids, digest) for ids, digest in rows]
    author.finish()
    check(author, reference, asked)
    runner: Any = under_test.engine._generation._runner
    assert runner._forwards.num_graphs


def test_positions_that_follow_the_longest_row_are_not_recorded() -> None:
    pytest.importorskip("triton", reason="Triton is not installed")
    from engine.ops.cuda_graph import follows_length

    longrope = {"rope_type": "longrope", "short_factor": [1.0], "long_factor": [2.0]}
    assert follows_length(SimpleNamespace(rope_parameters=longrope))
    assert follows_length(SimpleNamespace(rope_parameters={"full_attention": longrope}))
    assert not follows_length(SimpleNamespace(rope_parameters={"rope_type": "llama3"}))
    assert not follows_length(SimpleNamespace())
