"""An adapter trained beside others is the adapter trained alone, dropout on, whatever they do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from engine import port
from tests.contracts.bench import ROWS, Bench, targets
from tests.contracts.cases import Case

MakeBench = Callable[..., Bench]
CASE = Case("bert", "lora", "classify", "native")
DROPOUT = {"dropout": 0.2, "head_dropout": 0.2}
Weights = dict[str, torch.Tensor]


def step(slot: int, number: int, rate: float = 0.01) -> port.Train:
    """Three of the rows, others in each step."""
    chosen = [(number + i) % len(ROWS) for i in range(3)]
    return port.Train(
        slot=slot, rows=[port.Row(ids=ROWS[i], slot=slot) for i in chosen], keys=chosen,
        targets=[targets(CASE)[i] for i in chosen], learning_rate=rate, step=number,
    )  # fmt: skip


def weights(table: Bench, slot: int) -> Weights:
    tensors = table.engine._trainings[slot].adapter.tensors
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def trained_alone(table: Bench, num_steps: int) -> Weights:
    slot = table.open(CASE, cache="alone", **DROPOUT)
    table.fill(slot)
    for number in range(num_steps):
        table.ask(step(slot, number))
    return weights(table, slot)


def assert_same(ours: Weights, oracle: Weights) -> None:
    assert max((ours[n] - oracle[n]).abs().max().item() for n in oracle) <= 1e-6


def test_an_adapter_trained_beside_seven_others_is_the_one_trained_alone(bench: MakeBench) -> None:
    table = bench("bert")
    alone = trained_alone(table, 12)
    own = table.open(CASE, cache="shared", **DROPOUT)
    variants = ["lora", "bottleneck", "ia3", "dora", "bias", "pfeiffer", "head_only"]
    others = [
        table.open(Case("bert", variant, "classify", "native"), seed=i, cache="shared", dropout=0.5)
        for i, variant in enumerate(variants)
    ]
    table.fill(own)
    for number in range(12):
        for slot in (others[0], own, *others[1:]):
            table.ask(step(slot, number))
    assert_same(weights(table, own), alone)


def test_a_run_that_diverges_changes_no_bit_of_the_adapter_beside_it(bench: MakeBench) -> None:
    table = bench("bert")
    alone = trained_alone(table, 6)
    own, wild = (table.open(CASE, cache="shared", **DROPOUT) for _ in range(2))
    table.fill(own)
    for number in range(6):
        table.engine.step(step(wild, number, rate=1e30))
        table.ask(step(own, number))
    assert table.refusal(step(wild, 6)).code == "diverged"
    for name, tensor in weights(table, own).items():
        assert torch.equal(tensor, alone[name]), name


@pytest.mark.parametrize("variant", ["lora", "bottleneck"])
@pytest.mark.parametrize("head", ["classify", "tag"])
def test_a_step_in_parts_drops_what_the_whole_step_drops(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch, variant: str, head: str
) -> None:
    table = bench("bert")
    case = Case("bert", variant, head, "native")
    slots = [table.open(case, **DROPOUT) for _ in range(2)]
    whole = table.train(case, slots[0], steps=3)
    monkeypatch.setattr("engine.training.parts._MAX_TOKENS", 6)
    assert table.train(case, slots[1], steps=3) == pytest.approx(whole, rel=1e-4)
