"""A frozen linear and one adapter's low-rank product there, as one step of autograd.

Written out, PyTorch would keep views and copies of every output for the product that is added in
place, and make a gradient of its own for each of both. Knows no site and no slot.

Shape letters: T tokens, K ranks, I input width, O output width.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from engine.ops.frozen_linear import multiply_plain


def low_rank_autograd(
    x_TI: Tensor,
    weight_IO: Tensor,
    bias_O: Tensor | None,
    down_KI: Tensor,
    up_KO: Tensor,
    mask_TK: Tensor | None,
) -> Tensor:
    """`x W + b + (x A * mask) B`; W and b get no gradient."""
    return cast(Tensor, _LowRankFunction.apply(x_TI, weight_IO, bias_O, down_KI, up_KO, mask_TK))  # type: ignore[no-untyped-call]


class _LowRankFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_TI: Tensor,
        weight_IO: Tensor,
        bias_O: Tensor | None,
        down_KI: Tensor,
        up_KO: Tensor,
        mask_TK: Tensor | None,
    ) -> Tensor:
        out_TO = multiply_plain(x_TI, weight_IO.T, bias_O)
        h_TK = x_TI @ down_KI.T
        if mask_TK is not None:
            h_TK = h_TK.mul_(mask_TK)
        ctx.save_for_backward(x_TI, weight_IO, down_KI, up_KO, mask_TK, h_TK)
        return out_TO.addmm_(h_TK, up_KO)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        x_TI, weight_IO, down_KI, up_KO, mask_TK, h_TK = ctx.saved_tensors
        (g_TO,) = gradients
        g_TK = g_TO @ up_KO.T
        if mask_TK is not None:
            g_TK = g_TK.mul_(mask_TK)
        g_TI = None
        if ctx.needs_input_grad[0]:
            g_TI = multiply_plain(g_TO, weight_IO, None).addmm_(g_TK, down_KI)
        return g_TI, None, None, g_TK.T @ x_TI, h_TK.T @ g_TO, None
