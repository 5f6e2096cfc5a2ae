"""Calls that run within the pauses of a training step change no bit of it, nor it any of theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine import port
from engine.engine import NextCall
from engine.heads import PREDICTION_HEADS
from engine.training import training
from tests.contracts.cases import VARIANTS, Case
from tests.contracts.engine_under_test import ROWS, EngineUnderTest, targets
from tests.contracts.tiny import BASES

MakeBench = Callable[..., EngineUnderTest]

#: every family, and on one of them every kind and head
CASES = [
    *(Case(family, "lora", "classify", "native") for family in sorted(BASES)),
    *(Case("bert", variant, "classify", "native") for variant in VARIANTS if variant != "lora"),
    *(Case("bert", "lora", head, "native") for head in PREDICTION_HEADS if head != "classify"),
]


class Calls:
    """What runs in each pause: rows of an adapter and of the bare base, in one forward."""

    def __init__(self, under_test: EngineUnderTest, digest: str) -> None:
        self._under_test, self._digest = under_test, digest
        self.expected = self._answers()
        self._asked = 0

    def __call__(self) -> Callable[[], None] | None:
        """What is to run once in each pause; every second question is asked after it ran."""
        self._asked += 1
        return self._compare if self._asked % 2 else None

    @property
    def num_pauses(self) -> int:
        return self._asked // 2

    def _compare(self) -> None:
        for ours, alone in zip(self._answers(), self.expected, strict=True):
            np.testing.assert_array_equal(ours, alone)

    def _answers(self) -> list[Any]:
        rows = [(ids, digest) for ids in ROWS for digest in (self._digest, None)]
        return self._under_test.answers(rows)


def train_step(case: Case, slot: int, number: int) -> port.Train:
    rows = [port.Row.of(ids=ids, slot=slot) for ids in ROWS[: len(targets(case))]]
    return port.Train(
        slot=slot, rows=rows, keys=list(range(len(rows))), targets=targets(case),
        learning_rate=0.01, step=number,
    )  # fmt: skip


def trained(
    under_test: EngineUnderTest, case: Case, pause: NextCall
) -> tuple[list[port.Trained], list[Any]]:
    """Three steps with dropout: what each answers, and what the slot answers afterwards."""
    slot = under_test.open(case, dropout=0.1, head_dropout=0.1)
    results = [under_test.engine.step(train_step(case, slot, n), pause) for n in range(3)]
    rows = [port.Row.of(ids=ids, slot=slot) for ids in ROWS]
    predicted = under_test.engine.step(port.Predict(rows=rows, background=True), pause)
    assert isinstance(predicted, port.Predicted)
    under_test.ask(port.CloseTraining(slot=slot))
    return results, [row.numpy() for row in predicted.rows]  # type: ignore[union-attr,return-value]


@pytest.mark.survival("F6")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_step_with_calls_in_every_pause_trains_what_one_without_does(
    make_engine: MakeBench, case: Case
) -> None:
    under_test = make_engine(case.family)
    calls = Calls(under_test, under_test.load(under_test.adapter(case)))
    alone, expected = trained(under_test, case, lambda: None)
    paused, answers = trained(under_test, case, calls)
    assert paused == alone
    for ours, theirs in zip(answers, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert calls.num_pauses >= 3


def test_forward_and_backward_pause_before_each_linear(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    case = Case("bert", "lora", "classify", "native")
    slot, pauses = under_test.open(case, kind_config={"rank": 4, "layers": [1, 2]}), []
    under_test.engine.step(train_step(case, slot, 0), lambda: pauses.append(1))  # type: ignore[func-returns-value]
    linears = [site.layer for site in under_test.base.sites.values()]
    # of the lowest layer that learns, query, key and value get what needs no gradient
    assert len(pauses) == len(linears) + sum(layer > 0 for layer in linears) - 3


def test_filling_pauses_before_each_linear_below_those_that_learn(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    case = Case("bert", "lora", "classify", "native")
    calls = Calls(under_test, under_test.load(under_test.adapter(case)))
    slot = under_test.open(case, kind_config={"rank": 4, "layers": 1}, cache_bytes=2**20)
    rows = [port.Row.of(ids=ids) for ids in ROWS]
    fill = port.Fill(slot=slot, rows=rows, keys=list(range(len(rows))))
    assert under_test.engine.step(fill, calls) == port.Done()
    below = under_test.base.num_layers - 1
    assert calls.num_pauses == sum(s.layer < below for s in under_test.base.sites.values())


def test_an_adapter_can_be_loaded_within_a_pause(make_engine: MakeBench) -> None:
    under_test = make_engine("bert")
    case = Case("bert", "lora", "classify", "native")
    adapter, slot, loaded = under_test.adapter(case), under_test.open(case), []

    def load() -> None:
        loaded.append(under_test.load(adapter))

    under_test.engine.step(train_step(case, slot, 0), lambda: None if loaded else load)
    within = under_test.answers([(ids, loaded[0]) for ids in ROWS])
    afterwards = under_test.answers([(ids, under_test.load(adapter)) for ids in ROWS])
    for ours, theirs in zip(within, afterwards, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@pytest.mark.survival("F6")
@pytest.mark.parametrize("head", ["classify", "embed"])
def test_calls_between_the_parts_of_a_step_change_no_bit_of_it(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    monkeypatch.setattr(training, "_MAX_TOKENS", 12)  # several parts of the few rows
    under_test = make_engine("bert")
    case = Case("bert", "lora", head, "native" if head == "classify" else "mean")
    calls = Calls(under_test, under_test.load(under_test.adapter(case)))
    alone, expected = trained(under_test, case, lambda: None)
    slots = under_test.engine._trainings
    with slots.pausing(lambda: under_test.engine._pause(calls)):
        parted, answers = trained(under_test, case, lambda: None)
    assert parted == alone
    for ours, theirs in zip(answers, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert calls.num_pauses >= 3 * 2
