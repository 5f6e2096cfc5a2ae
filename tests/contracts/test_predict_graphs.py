"""A replayed forward is the launched one, of this batch and no other."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.forward.forward import acting_adapters, make_batch
from engine.forward.predict_graphs import PredictGraphs
from engine.model.batch import pack
from engine.ops.cuda_graph import CaptureFailed
from engine.port import Row
from tests.contracts.cases import Case
from tests.contracts.engine_under_test import ROWS, EngineUnderTest
from tests.engine.varlen_oracle import attend_looped

MakeEngine = Callable[..., EngineUnderTest]
CPU = torch.device("cpu")


class RerunIntoOneAnswer:
    """What a graph replays, computed again; as of a graph, every answer lies at one address."""

    def __init__(self) -> None:
        self.num_captured = 0

    def capture(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        self.num_captured += 1
        answer = run().clone()

        def replay() -> Tensor:
            return answer.copy_(run())

        return replay


class RefusedCapture:
    def __init__(self) -> None:
        self.num_tried = 0

    def capture(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        self.num_tried += 1
        run()
        raise CaptureFailed("operation not permitted when stream is capturing")


def any_rows(chance: random.Random) -> list[Row]:
    """Few sizes, so that they come again, each of other tokens, lengths and slots."""
    lengths = [chance.randint(1, 30) for _ in range(chance.choice([1, 2, 5, 9]))]
    return [
        Row.of(ids=[chance.randrange(90) for _ in range(length)], slot=chance.randint(0, 3))
        for length in lengths
    ]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("family", ["bert", "llama", "modernbert"])
@torch.inference_mode()
def test_a_replayed_forward_is_the_launched_one(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch, family: str, seed: int
) -> None:
    chance = random.Random(seed)
    cases = [Case(family, variant, "classify", "mean") for variant in ("lora", "lora", "ia3")]
    with torch.inference_mode(mode=False):  # other tests share the engine, outside of it
        under_test = make_engine(family)
        adapters = [under_test.adapter(case, seed=number) for number, case in enumerate(cases)]
    engine, base, sites = under_test.engine, under_test.base, under_test.engine._sites
    for slot, digest in enumerate(map(under_test.load, adapters), 1):
        engine._resident.place(slot, digest)
    placed = {slot: engine._resident[slot] for slot in (1, 2, 3)}
    attend_looped(monkeypatch)
    graphs, num_replayed = PredictGraphs(base, sites, RerunIntoOneAnswer()), 0
    for _ in range(90):
        batch = make_batch(base, any_rows(chance), placed)
        if (replayed := graphs.run(batch, placed)) is None:
            continue
        num_replayed += 1
        with acting_adapters(base, sites, batch, placed):
            torch.testing.assert_close(replayed, base.forward(batch), atol=1e-5, rtol=1e-5)
    assert num_replayed > graphs.num_graphs > 0


def test_an_engine_answers_by_graphs_what_it_answers_without(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = make_engine("bert")
    digest = under_test.load(under_test.adapter(Case("bert", "lora", "classify", "native")))
    attend_looped(monkeypatch)
    engine, bare = under_test.engine, [(ids, None) for ids in ROWS]
    mixed = [*bare, (ROWS[0], digest)]
    launched = under_test.answers([*bare]), under_test.answers(mixed)
    capture = RerunIntoOneAnswer()
    graphs = PredictGraphs(engine._base, engine._sites, capture)
    monkeypatch.setattr(engine, "_predict_graphs", graphs)
    for _ in range(4):
        for rows, theirs in zip((bare, mixed), launched, strict=True):
            for ours, other in zip(under_test.answers(rows), theirs, strict=True):
                np.testing.assert_allclose(ours, other, atol=1e-5, rtol=1e-5)
    assert capture.num_captured == 2


def test_batches_of_like_size_share_a_graph_once_it_has_come_three_times(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine("bert").engine
    attend_looped(monkeypatch)
    capture = RerunIntoOneAnswer()
    graphs = PredictGraphs(engine._base, engine._sites, capture)
    with torch.inference_mode():
        replayed = [
            graphs.run(pack([Row.of(ids=[5] * length)] * 2, CPU), {}) is not None
            for length in (3, 7, 9, 4, 30, 40)
        ]
    assert replayed == [False, False, True, True, True, False]
    assert capture.num_captured == graphs.num_graphs == 1


def test_a_base_that_cannot_be_captured_is_tried_once_and_answers_as_before(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    under_test, capture = make_engine("bert"), RefusedCapture()
    engine, rows = under_test.engine, [(ids, None) for ids in ROWS]
    before = under_test.answers(rows)
    attend_looped(monkeypatch)
    graphs = PredictGraphs(engine._base, engine._sites, capture)
    monkeypatch.setattr(engine, "_predict_graphs", graphs)
    with caplog.at_level(logging.WARNING):
        for _ in range(6):
            for ours, theirs in zip(under_test.answers(rows), before, strict=True):
                np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=1e-5)
    assert capture.num_tried == 1
    assert [record.action for record in caplog.records] == ["recording.failed"]  # type: ignore[attr-defined]


def test_attention_that_needs_the_lengths_on_the_host_is_not_captured(
    make_engine: MakeEngine,
) -> None:
    engine = make_engine("bert").engine
    graphs = PredictGraphs(engine._base, engine._sites, RerunIntoOneAnswer())
    batch = pack([Row.of(ids=ids) for ids in ROWS], CPU)
    with torch.inference_mode():
        assert [graphs.run(batch, {}) for _ in range(5)] == [None] * 5
    assert graphs.num_graphs == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("family", ["bert", "llama", "modernbert"])
def test_graphs_of_a_device_answer_what_its_launched_forwards_answer(
    make_engine: MakeEngine, family: str
) -> None:
    under_test = make_engine(family, dtype="bfloat16")
    launched = make_engine(family, dtype="bfloat16", cuda_graphs=False)
    for number in range(8):
        rows = [(ids[number % 3 :], None) for ids in ROWS]
        for ours, theirs in zip(under_test.answers(rows), launched.answers(rows), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=2e-2, rtol=2e-2)
    graphs: Any = under_test.engine._predict_graphs
    assert graphs.num_graphs
