"""A training step of ours is PEFT's on the same batch: the loss and every gradient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from torch import Tensor

from engine.adapters.adapter import Adapter
from engine.kinds import KINDS
from engine.model.base import Base
from tests.contracts.cases import Case
from tests.contracts.engine_under_test import ROWS, EngineUnderTest, targets
from tests.contracts.tiny import BASES
from tests.contracts.tuned import heads, linears, peft_has, shared, stock_model

VARIANTS = ["lora", "dora", "lora-biases", "ia3", "bias"]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("family", sorted(BASES))
def test_a_training_step_has_pefts_loss_and_gradients(
    make_engine: Callable[..., EngineUnderTest],
    base_folder: Callable[[str], Path],
    family: str,
    variant: str,
) -> None:
    _compare(make_engine(family), base_folder(family), Case(family, variant, "classify", "native"))


@pytest.mark.parametrize("family", sorted(BASES))
def test_patterns_of_rank_and_alpha_train_as_pefts_do(
    make_engine: Callable[..., EngineUnderTest], base_folder: Callable[[str], Path], family: str
) -> None:
    under_test = make_engine(family)
    first, *_, last = linears(under_test.base)
    patterns = {"rank_pattern": {first: 2}, "alpha_pattern": {last: 5.0, first: 3.0}}
    case = Case(family, "lora", "classify", "native")
    _compare(under_test, base_folder(family), case, rank=4, **patterns)


@pytest.mark.parametrize("family", sorted(BASES))
def test_with_every_bias_the_steps_are_pefts_but_for_what_all_rows_share(
    make_engine: Callable[..., EngineUnderTest], base_folder: Callable[[str], Path], family: str
) -> None:
    case = Case(family, "lora", "classify", "native")
    _compare(make_engine(family), base_folder(family), case, rank=4, bias="all")


def _compare(under_test: EngineUnderTest, folder: Path, case: Case, **config: Any) -> None:
    if case.head not in heads(under_test.base) or not peft_has(case.variant, under_test.base):
        pytest.skip("PEFT does not have it for this family")
    slot = under_test.open(case, max_grad_norm=1e9, kind_config=case.kind_settings | config)
    adapter = under_test.engine._trainings[slot].adapter
    _move(adapter)
    oracle = PeftModel.from_pretrained(
        stock_model(folder, case.head), under_test.write(adapter), is_trainable=True
    ).eval()
    loss = _peft_loss(oracle, targets(case))
    loss.backward()
    assert under_test.train(case, slot, steps=1, rate=0.0)[0] == pytest.approx(
        loss.item(), abs=1e-5
    )
    expected = _peft_gradients(oracle, under_test.base)
    ours = _gradients(adapter, under_test.base)
    assert set(ours) == set(expected)
    for name, gradient in ours.items():
        np.testing.assert_allclose(gradient, expected[name], atol=2e-5, rtol=1e-3, err_msg=name)


def _move(adapter: Adapter) -> None:
    """Off the start, where half of the gradients are zero."""
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for tensor in adapter.tensors.values():
            tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.1)


def _peft_loss(oracle: Any, wanted: list[int]) -> Tensor:
    width = max(map(len, ROWS))
    pad = oracle.config.pad_token_id or 0
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in ROWS])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ROWS])
    logits = oracle(input_ids=ids, attention_mask=mask).logits
    return torch.nn.functional.cross_entropy(logits, torch.tensor(wanted))


def _peft_gradients(oracle: Any, base: Base) -> dict[str, Tensor]:
    named = {
        name.replace(".modules_to_save", "").replace(".default", ""): parameter.grad
        for name, parameter in oracle.named_parameters()
        if parameter.requires_grad and not shared(name, base)
    }
    return {
        name.replace("lora_magnitude_vector.weight", "lora_magnitude_vector"): gradient
        for name, gradient in named.items()
    }


def _gradients(adapter: Adapter, base: Base) -> dict[str, Tensor]:
    """Under the names PEFT's model has for them."""
    parts: Any = {
        site: {part: tensor.grad for part, tensor in held.items()}
        for site, held in adapter.weights.items()
    }
    _, body = KINDS[adapter.kind].write(adapter.config, parts, base)
    head = {f"base_model.model.{name}": t.grad for name, t in adapter.head_weights.items()}
    prefix = f"base_model.model.{base.family.prefix}"
    return {f"{prefix}.{name}": gradient for name, gradient in body.items()} | head  # type: ignore[operator]
