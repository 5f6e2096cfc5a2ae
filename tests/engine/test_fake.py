"""What only the fake does: it breaks on demand. The rest of its contract is `test_any_port.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import port
from engine.errors import BadAdapter, EngineGone, NotLoaded, OutOfMemory
from engine.testing.fake_engine import FakeEngine, write_fake_adapter
from engine.text.tokenizer import Tokenizer
from tests.engine.rows import IDS, answers, ask, load, open_training, train

TAG = {"kind": "tag", "labels": ["O", "B-x", "I-x"]}


def test_each_seed_is_a_version_with_answers_of_its_own(tmp_path: Path) -> None:
    engine = FakeEngine()
    for seed in (1, 2):
        load(engine, write_fake_adapter(tmp_path / str(seed), seed=seed), str(seed))
    first, second = answers(engine, 1, {1: "1"}), answers(engine, 2, {2: "2"})
    assert not np.allclose(first[0], second[0])


def test_a_step_that_is_broken_raises_until_it_is_mended() -> None:
    engine = FakeEngine(broken={port.Stats: OutOfMemory()})
    with pytest.raises(OutOfMemory):
        ask(engine, port.Stats())
    engine.broken.clear()
    assert ask(engine, port.Stats()).loaded == {}


def test_a_poisoned_token_fails_its_row_alone() -> None:
    rows = [port.Row.of(ids=IDS[0]), port.Row.of(ids=[0, 66, 2])]
    first, second = ask(FakeEngine(poison=66), port.Predict(rows=rows)).rows
    assert isinstance(first, port.Array)
    assert second.code == "bad_row"


def test_rows_begin_and_write_their_own_tokens_again() -> None:
    engine = FakeEngine()
    begin = port.StartSequence(key=7, row=port.Row.of(ids=[5, 6, 7]), max_tokens=2)
    assert ask(engine, port.Generate(begin=[begin])).rows == [port.SequenceOutput(ids=[5])]
    assert ask(engine, port.Generate(keys=[7])).rows == [
        port.SequenceOutput(ids=[6], finish="length")
    ]
    assert ask(engine, port.Generate(keys=[7])).rows[0].code == "not_loaded"


def test_a_written_row_keeps_to_its_sampling() -> None:
    sampling = port.Sampling(stop_ids=[7], logprobs=1)
    begin = port.StartSequence(key=7, row=port.Row.of(ids=[5, 7]), max_tokens=9, sampling=sampling)
    [written] = ask(FakeEngine(), port.Generate(begin=[begin], num_tokens=4)).rows
    certain = port.TokenLogprob(logprob=0.0, top=[(5, 0.0)])
    assert written == port.SequenceOutput(ids=[5], finish="stop", logprobs=[certain])


def test_dying_loses_everything_and_grows_the_generation(tmp_path: Path) -> None:
    engine = FakeEngine()
    load(engine, write_fake_adapter(tmp_path / "a"), "d1")
    slot = open_training(engine)
    engine.die()
    assert engine.generation == 2
    assert ask(engine, port.Stats()) == port.EngineStats(
        loaded={}, placed={}, training=[], cache_bytes=0, num_blocks=engine.info.num_blocks
    )
    with pytest.raises(NotLoaded):
        train(engine, slot, 1)


def test_a_closed_fake_is_gone() -> None:
    engine = FakeEngine()
    engine.close()
    with pytest.raises(EngineGone):
        ask(engine, port.Stats())


def test_every_step_is_remembered() -> None:
    engine = FakeEngine()
    ask(engine, port.Stats())
    ask(engine, port.Evict(slots=[1]))
    assert [type(step) for step in engine.steps] == [port.Stats, port.Evict]


@pytest.mark.parametrize(
    ("head", "targets"),
    [
        ({"kind": "regress"}, [0.5, -1.0, 0.5, -1.0]),
        (TAG, [[i % 3 for i in range(len(ids))] for ids in IDS]),
    ],
    ids=["regress", "tag"],
)
def test_other_heads_learn_too(head: dict[str, Any], targets: list[Any]) -> None:
    engine = FakeEngine()
    losses = train(engine, open_training(engine, head), 30, targets)
    assert losses[-1] < losses[0]


def test_a_tag_head_answers_per_token(tmp_path: Path) -> None:
    engine = FakeEngine()
    load(engine, write_fake_adapter(tmp_path / "a", head=TAG), "d1")
    assert [a.shape for a in answers(engine, 1, {1: "d1"})] == [(len(ids), 3) for ids in IDS]


def test_weights_of_another_number_of_labels_are_refused(tmp_path: Path) -> None:
    directory = write_fake_adapter(tmp_path / "a")
    step = port.Load(
        digest="d1",
        semantics={"head": {"kind": "classify", "labels": ["a", "b", "c"]}},
        files=[port.File(role="adapter", path=str(directory / "adapter_model.safetensors"))],
    )
    with pytest.raises(BadAdapter, match="the head has 2 outputs"):
        ask(FakeEngine(), step)


def test_its_tokenizer_takes_any_text() -> None:
    info = FakeEngine().info
    encoding = Tokenizer(info.tokenizer_json, info.max_tokens).encode("Grüße, 世界 🙂")
    assert len(encoding.ids) > 10
