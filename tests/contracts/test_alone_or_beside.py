"""An adapter trained beside others is the adapter trained alone, dropout on, whatever they do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from engine import port
from tests.contracts.cases import Case
from tests.contracts.engine_under_test import ROWS, EngineUnderTest, targets

MakeBench = Callable[..., EngineUnderTest]
CASE = Case("bert", "lora", "classify", "native")
DROPOUT = {"dropout": 0.2, "head_dropout": 0.2}
Weights = dict[str, torch.Tensor]


def step(slot: int, number: int, rate: float = 0.01) -> port.Train:
    """Three of the rows, others in each step."""
    chosen = [(number + i) % len(ROWS) for i in range(3)]
    return port.Train(
        slot=slot, rows=[port.Row.of(ids=ROWS[i], slot=slot) for i in chosen], keys=chosen,
        targets=[targets(CASE)[i] for i in chosen], learning_rate=rate, step=number,
    )  # fmt: skip


def weights(under_test: EngineUnderTest, slot: int) -> Weights:
    tensors = under_test.engine._trainings[slot].adapter.tensors
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def trained_alone(under_test: EngineUnderTest, num_steps: int) -> Weights:
    slot = under_test.open(CASE, cache="alone", **DROPOUT)
    under_test.fill(slot)
    for number in range(num_steps):
        under_test.ask(step(slot, number))
    return weights(under_test, slot)


def assert_same(ours: Weights, oracle: Weights) -> None:
    assert max((ours[n] - oracle[n]).abs().max().item() for n in oracle) <= 1e-6


def test_an_adapter_trained_beside_seven_others_is_the_one_trained_alone(
    make_engine: MakeBench,
) -> None:
    under_test = make_engine("bert")
    alone = trained_alone(under_test, 12)
    own = under_test.open(CASE, cache="shared", **DROPOUT)
    variants = ["lora", "bottleneck", "ia3", "dora", "bias", "pfeiffer", "head_only"]
    others = [
        under_test.open(
            Case("bert", variant, "classify", "native"), seed=i, cache="shared", dropout=0.5
        )
        for i, variant in enumerate(variants)
    ]
    under_test.fill(own)
    for number in range(12):
        for slot in (others[0], own, *others[1:]):
            under_test.ask(step(slot, number))
    assert_same(weights(under_test, own), alone)


def test_a_run_that_diverges_changes_no_bit_of_the_adapter_beside_it(
    make_engine: MakeBench,
) -> None:
    under_test = make_engine("bert")
    alone = trained_alone(under_test, 6)
    own, wild = (under_test.open(CASE, cache="shared", **DROPOUT) for _ in range(2))
    under_test.fill(own)
    for number in range(6):
        under_test.engine.step(step(wild, number, rate=1e30))
        under_test.ask(step(own, number))
    assert under_test.refusal(step(wild, 6)).code == "diverged"
    for name, tensor in weights(under_test, own).items():
        assert torch.equal(tensor, alone[name]), name


@pytest.mark.parametrize("variant", ["lora", "bottleneck"])
@pytest.mark.parametrize("head", ["classify", "tag"])
def test_a_step_in_parts_drops_what_the_whole_step_drops(
    make_engine: MakeBench, monkeypatch: pytest.MonkeyPatch, variant: str, head: str
) -> None:
    under_test = make_engine("bert")
    case = Case("bert", variant, head, "native")
    slots = [under_test.open(case, **DROPOUT) for _ in range(2)]
    whole = under_test.train(case, slots[0], steps=3)
    monkeypatch.setattr("engine.training.training._MAX_TOKENS", 6)
    assert under_test.train(case, slots[1], steps=3) == pytest.approx(whole, rel=1e-4)
