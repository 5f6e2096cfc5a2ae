"""Linears multiplied by oneDNN answer what the stock ones answer, and give the same gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from engine.model.packed_linears import pack_linears
from engine.ops.frozen_linear import pack_weight

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
    reason="products are oneDNN's",
)
AMPLE = 2**30
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)


def assert_close(ours: Tensor, stock: Tensor) -> None:
    atol, rtol = (1e-5, 1e-5) if ours.dtype == torch.float32 else (0.02, 0.01)
    torch.testing.assert_close(ours, stock, atol=atol, rtol=rtol)


@pytest.fixture(params=["linear", "no bias", "Conv1D"])
def module(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    made = {
        "linear": lambda: nn.Linear(96, 80),
        "no bias": lambda: nn.Linear(96, 80, bias=False),
        "Conv1D": lambda: Conv1D(80, 96),
    }[request.param]()
    return made.requires_grad_(requires_grad=False)


@pytest.fixture
def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(96, 80).requires_grad_(requires_grad=False)


@pytest.mark.parametrize("count", [1, 2, 16, 300])
@pytest.mark.parametrize("budget", [AMPLE, 0], ids=["packed", "not packed"])
@DTYPES
@torch.inference_mode()
def test_products_are_those_of_the_stock_module(
    module: nn.Module, dtype: torch.dtype, budget: int, count: int
) -> None:
    module.to(dtype)
    x = torch.randn(1, count, 96).to(dtype)
    stock = module(x)
    pack_linears([module], budget, {})
    assert_close(module(x), stock)


@pytest.mark.parametrize("count", [1, 16])
@DTYPES
def test_an_input_gets_the_gradient_that_the_stock_module_gives(
    module: nn.Module, dtype: torch.dtype, count: int
) -> None:
    module.to(dtype)
    x, g = torch.randn(1, count, 96).to(dtype).requires_grad_(), torch.randn(1, count, 80).to(dtype)
    (stock,) = torch.autograd.grad(module(x), x, g)
    pack_linears([module], AMPLE, {})
    (ours,) = torch.autograd.grad(module(x), x, g)
    assert_close(ours, stock)


def test_what_it_answers_may_be_changed_in_place(linear: nn.Linear) -> None:
    pack_linears([linear], AMPLE, {})
    x, g = torch.randn(1, 8, 96).requires_grad_(), torch.randn(1, 8, 80)
    out = linear(x)
    out[0, 2:5] *= 2
    out.backward(g)
    scale = torch.ones(8, 1).index_fill(0, torch.arange(2, 5), 2.0)
    torch.testing.assert_close(x.grad, (g * scale) @ linear.weight)


@torch.inference_mode()
def test_a_row_is_multiplied_alike_whatever_stands_beside_it(linear: nn.Linear) -> None:
    pack_linears([linear], AMPLE, {})
    x = torch.randn(1, 40, 96)
    hostile = x.clone()
    hostile[0, 3], hostile[0, 5] = float("nan"), 3e38
    others = [i for i in range(40) if i not in (3, 5)]
    assert torch.equal(linear(hostile)[0, others], linear(x)[0, others])


@torch.inference_mode()
def test_a_copy_changes_no_bit_of_a_product(linear: nn.Linear) -> None:
    x = torch.randn(1, 40, 96)
    pack_linears([linear], 0, {})
    without = linear(x)
    pack_linears([linear], AMPLE, {})
    assert torch.equal(linear(x), without)


@pytest.mark.parametrize(
    ("budget", "num_copies"), [(4 * 96 * 80, 1), (4 * 96 * 80 - 1, 0)], ids=["fits", "does not"]
)
@torch.inference_mode()
def test_copies_take_no_more_than_their_budget(
    linear: nn.Linear, monkeypatch: pytest.MonkeyPatch, budget: int, num_copies: int
) -> None:
    packed: list[Tensor] = []

    def pack(weight_OI: Tensor) -> Tensor:
        packed.append(weight_OI)
        return pack_weight(weight_OI)

    monkeypatch.setattr("engine.model.packed_linears.pack_weight", pack)
    pack_linears([linear], budget, {})
    linear(torch.randn(8, 96))
    linear(torch.randn(8, 96))
    assert len(packed) == num_copies


def test_a_linear_that_learns_is_the_stock_one(linear: nn.Linear) -> None:
    pack_linears([linear], AMPLE, {})
    linear.requires_grad_(requires_grad=True)
    x = torch.randn(8, 96)
    linear(x).sum().backward()
    torch.testing.assert_close(linear.weight.grad, x.sum(0).expand(80, 96))
    with torch.no_grad():
        linear.weight.mul_(2)
    torch.testing.assert_close(linear(x), nn.functional.linear(x, linear.weight, linear.bias))


def test_hooks_and_parameters_stay_the_module_s_own(linear: nn.Linear) -> None:
    before, seen = dict(linear.named_parameters()), list[int]()
    pack_linears([linear], AMPLE, {})
    linear.register_forward_hook(lambda module, args, out: seen.append(len(out)))
    with torch.inference_mode():
        linear(torch.randn(8, 96))
    assert seen == [8]
    assert all(linear.get_parameter(name) is own for name, own in before.items())
