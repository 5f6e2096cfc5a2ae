"""Every kind that PEFT has, on families that read with one stack and write with another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from engine import port
from tests.contracts.cases import VARIANTS
from tests.contracts.engine_under_test import ROWS, EngineUnderTest
from tests.contracts.test_seq2seq import FAMILIES, HEAD, _our_step, _their_steps, stock

MakeBench = Callable[..., EngineUnderTest]


EVERY_BIAS = ("lora", {"rank": 4, "bias": "all"})


@pytest.mark.parametrize("variant", ["dora", "ia3", "bias", "lora-biases", "every bias"])
@pytest.mark.parametrize("family", FAMILIES)
def test_training_steps_equal_pefts(
    make_engine: MakeBench,
    base_folder: Callable[[str], Path],
    family: str,
    variant: str,
    tmp_path: Path,
) -> None:
    under_test = make_engine(family)
    kind, config = VARIANTS.get(variant, EVERY_BIAS)
    spec = port.OpenTraining(
        kind=kind, kind_config=config, head=HEAD, seed=3, dropout=0.0, head_dropout=0.0,
        weight_decay=0.0, max_grad_norm=1e9,
    )  # fmt: skip
    slot = under_test.ask(spec).slot
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for tensor in under_test.engine._trainings[slot].adapter.tensors.values():
            tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.05)
    under_test.ask(port.Save(slot=slot, directory=str(tmp_path)))
    oracle = PeftModel.from_pretrained(stock(base_folder(family)), tmp_path, is_trainable=True)
    targets = [[*ids[1:-1], 9, 2] for ids in reversed(ROWS)]
    ours = [_our_step(under_test, slot, targets, number) for number in range(3)]
    assert ours == pytest.approx(_their_steps(oracle, targets, 3), rel=1e-4)


def test_a_family_without_named_sublayers_refuses_bottlenecks(make_engine: MakeBench) -> None:
    spec = port.OpenTraining(kind="bottleneck", kind_config={}, head=HEAD, seed=1)
    assert "t5 family has no attention sublayer" in make_engine("t5").refusal(spec).message
