"""Tokens of many adapters, each with its own adapter's product and nobody else's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.ops.grouped_low_rank import Block, LowRank, Span

IN, OUT = 12, 10


def parts(ranks: list[int], *, bias: bool = False) -> list[LowRank]:
    torch.manual_seed(sum(ranks))
    return [
        LowRank(
            down_KI=torch.randn(rank, IN),
            up_KO=torch.randn(rank, OUT),
            down_bias_K=torch.randn(rank) if bias else None,
        )
        for rank in ranks
    ]


def alone(part: LowRank, x_TI: Tensor) -> Tensor:
    h = torch.nn.functional.linear(x_TI, part.down_KI, part.down_bias_K)
    return torch.relu(h) @ part.up_KO


@pytest.mark.survival("D6")
@pytest.mark.parametrize("counts", [[1, 1, 1], [2, 1, 3], [1, 0, 1], [4, 4, 4]])
@pytest.mark.parametrize("ranks", [[4, 4, 4], [2, 4, 6]])
@pytest.mark.parametrize("bias", [False, True])
def test_every_token_gets_its_own_adapter_s_product(
    counts: list[int], ranks: list[int], bias: bool
) -> None:
    adapters, x = parts(ranks, bias=bias), torch.randn(sum(counts), IN)
    out = torch.ones(sum(counts), OUT)
    Block(adapters, torch.relu).add_to(out, x, Span(0, counts))
    chunks = zip(adapters, x.split(counts), strict=True)
    wanted = 1 + torch.cat([alone(part, tokens) for part, tokens in chunks])
    torch.testing.assert_close(out, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.survival("D5")
@pytest.mark.parametrize("counts", [[1, 1], [2, 2]])
def test_a_product_that_overflows_reaches_no_other_s_tokens(counts: list[int]) -> None:
    broken, sound = parts([4, 4])
    broken.down_KI.fill_(3e38)
    out, x = torch.zeros(sum(counts), OUT), 1 + torch.rand(sum(counts), IN)
    Block([broken, sound]).add_to(out, x, Span(0, counts))
    assert torch.isfinite(out[counts[0] :]).all()
    assert not torch.isfinite(out[: counts[0]]).any()
