"""Packed linears answer what the plain ones answer, and only where few tokens come."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from engine.model.prepacked_linears import PrepackedLinears

pytestmark = pytest.mark.skipif(
    not torch.backends.mkl.is_available(), reason="weights are packed by MKL"
)
AMPLE = 2**30


@pytest.fixture
def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(96, 80).requires_grad_(requires_grad=False)


def traced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens the plain products were given."""
    counts: list[int] = []
    stock: Callable[..., Tensor] = nn.functional.linear

    def product(x: Tensor, *weights: Tensor) -> Tensor:
        counts.append(x.numel() // x.shape[-1])
        return stock(x, *weights)

    monkeypatch.setattr(nn.functional, "linear", product)
    return counts


@pytest.mark.parametrize("count", [6, 11, 16])
@torch.inference_mode()
def test_a_few_tokens_get_the_same_products(
    linear: nn.Linear, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    x = torch.randn(1, count, 96)
    wanted, plain = linear(x), traced(monkeypatch)
    with PrepackedLinears([linear], AMPLE).of(count):
        torch.testing.assert_close(linear(x), wanted, atol=1e-6, rtol=1e-5)
    assert plain == []


@pytest.mark.parametrize("count", [1, 5, 17, 40])
@torch.inference_mode()
def test_one_token_and_many_are_multiplied_as_ever(linear: nn.Linear, count: int) -> None:
    x = torch.randn(1, count, 96)
    wanted = linear(x)
    with PrepackedLinears([linear], AMPLE).of(count):
        assert torch.equal(linear(x), wanted)


@torch.inference_mode()
def test_outside_of_a_reading_the_linear_is_the_stock_one(linear: nn.Linear) -> None:
    x = torch.randn(1, 8, 96)
    wanted, narrow = linear(x), PrepackedLinears([linear], AMPLE)
    with narrow.of(8):
        linear(x)
    assert torch.equal(linear(x), wanted)


def test_copies_that_would_take_more_than_their_budget_are_not_made(
    linear: nn.Linear, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow, plain = PrepackedLinears([linear], 4 * 96 * 80 - 1), traced(monkeypatch)
    with narrow.of(8):
        linear(torch.randn(8, 96))
    assert not narrow.able
    assert plain == [8]


def test_hooks_and_parameters_stay_the_module_s_own(linear: nn.Linear) -> None:
    before, seen = dict(linear.named_parameters()), list[int]()
    linear.register_forward_hook(lambda module, args, out: seen.append(len(out)))
    with torch.inference_mode(), PrepackedLinears([linear], AMPLE).of(8):
        linear(torch.randn(8, 96))
    assert seen == [8]
    assert all(linear.get_parameter(name) is own for name, own in before.items())
