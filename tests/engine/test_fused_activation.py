"""An activation is applied once: by its linear if nothing acts between the two, else by itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from transformers.activations import GELUActivation

from engine.model.fused_activation import FusedActivation, is_fusible
from engine.model.packed_linears import pack_linears


class FeedForward(nn.Module):
    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.dense, self.activation = nn.Linear(24, 40), activation
        self.requires_grad_(requires_grad=False)
        self.acts = False

    def forward(self, x: Tensor) -> Tensor:
        product: Tensor = self.dense(x)
        if self.acts:
            product *= 3
        answer: Tensor = self.activation(product)
        return answer

    def fuse(self) -> FusedActivation:
        fused = FusedActivation(self.activation)
        pack_linears([self.dense], 0, {self.dense: fused})
        fused.allow(lambda: self.acts)
        return fused


@pytest.fixture(params=[GELUActivation, nn.GELU, nn.ReLU], ids=lambda made: made.__name__)
def block(request: pytest.FixtureRequest) -> FeedForward:
    return FeedForward(request.param())


@pytest.mark.parametrize("acts", [False, True])
@torch.inference_mode()
def test_no_bit_changes(block: FeedForward, acts: bool) -> None:
    x = torch.randn(1, 9, 24)
    block.acts = acts
    pack_linears([block.dense], 0, {})
    stock = block(x)
    block.fuse()
    assert torch.equal(block(x), stock)


@torch.inference_mode()
def test_the_linear_applies_it_where_nothing_acts(block: FeedForward) -> None:
    block.fuse()
    x = torch.randn(1, 9, 24)
    assert torch.equal(block.dense(x), block(x))
    block.acts = True
    assert (block.dense(x) < -0.5).any()


@torch.inference_mode()
def test_what_its_linear_did_not_just_make_is_activated(block: FeedForward) -> None:
    block.fuse()
    x, other = torch.randn(1, 9, 24), torch.randn(1, 9, 40)
    block.dense(x)  # a forward that broke off here
    assert (block.activation(other) > -0.5).all()
    assert torch.equal(block(x), block(x))


def test_a_product_that_learns_is_not_fused(block: FeedForward) -> None:
    block.fuse()
    x = torch.randn(1, 9, 24, requires_grad=True)
    assert (block.dense(x) < -0.5).any()
    block(x).sum().backward()
    assert x.grad is not None


def test_nothing_is_fused_until_it_is_known_what_acts() -> None:
    block = FeedForward(nn.ReLU())
    pack_linears([block.dense], 0, {block.dense: FusedActivation(block.activation)})
    assert (block.dense(torch.randn(1, 9, 24)) < 0).any()


@pytest.mark.parametrize(
    ("activation", "dtype", "fusible"),
    [
        (nn.ReLU(), torch.float32, True),
        (nn.ReLU(), torch.bfloat16, False),
        (nn.GELU(), torch.float32, True),
        (nn.GELU(approximate="tanh"), torch.float32, False),
        (nn.SiLU(), torch.float32, False),
    ],
)
def test_only_where_it_changes_no_bit(
    activation: nn.Module, dtype: torch.dtype, fusible: bool
) -> None:
    assert is_fusible(nn.Linear(24, 40, dtype=dtype), activation) == fusible
