"""A frozen linear's product on a CPU by oneDNN, with a gradient for its input alone.

Knows tensors only; no module, no site.

Shape letters: T tokens, I input width, O output width; x is [.., I] and the product [.., O].
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor


def is_multipliable(weight: Tensor) -> bool:
    """Whether oneDNN multiplies by such weights here, and no slower than torch's own product.

    Against `torch.nn.functional.linear`, of 32 to 2048 tokens and 384 to 3072 columns, on one
    thread and on two: 2.0 to 2.3 times as fast in float32 on AMD Zen 5, where torch calls MKL,
    which has no AVX-512 for AMD; 1.0 to 1.25 times on a Xeon. In bfloat16, where torch calls oneDNN
    too, 1.05 to 1.3 times, and 1.3 to 1.9 times of up to 16 tokens, by packed weights alone. A
    single float32 token takes up to twice as long where there are few columns; it is not multiplied
    in another way, since packed weights give it the same bits alone as among others.
    """
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    bfloat16 = weight.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return weight.dtype == torch.float32 or bool(bfloat16)


@torch.inference_mode(mode=False)
@torch.no_grad()
def pack_weight(weight_OI: Tensor) -> Tensor:
    """A copy in the order in which the product reads it. Of two tokens and more it gives the same
    bits as the weight itself, 1.05 to 1.25 times as fast.
    """
    return cast(Tensor, torch.ops.mkldnn._reorder_linear_weight(weight_OI.detach(), None))


def multiply_frozen(
    x: Tensor,
    weight_OI: Tensor,
    bias_O: Tensor | None,
    packed: Tensor | None = None,
    activation: str = "none",
) -> Tensor:
    """`x Wᵀ + b`, by the packed copy of W where there is one; W and b get no gradient. Without
    gradients oneDNN's `activation` of it, if one is named.
    """
    if x.requires_grad and torch.is_grad_enabled():
        assert activation == "none", "an activation has a gradient of its own"
        # flat, or the product would be a view, which nothing may change in place
        x_TI = x.reshape(-1, x.shape[-1])
        out_TO = cast(Tensor, _FrozenLinear.apply(x_TI, weight_OI, bias_O, packed))  # type: ignore[no-untyped-call]
        return out_TO.view(*x.shape[:-1], -1)
    return _multiply(x, weight_OI, bias_O, packed, activation)


def _multiply(
    x: Tensor,
    weight_OI: Tensor,
    bias_O: Tensor | None,
    packed: Tensor | None,
    activation: str = "none",
) -> Tensor:
    weight = weight_OI if packed is None else packed
    return cast(
        Tensor, torch.ops.mkldnn._linear_pointwise(x, weight, bias_O, activation, [], "none")
    )


def multiply_plain(x_TI: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
    """`x Wᵀ + b` without a gradient, by oneDNN where it multiplies by such weights."""
    if not is_multipliable(weight_OI):
        return torch.nn.functional.linear(x_TI, weight_OI, bias_O)
    linear = torch.ops.mkldnn._linear_pointwise
    return cast(Tensor, linear(x_TI.contiguous(), weight_OI, bias_O, "none", [], ""))


class _FrozenLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x_TI: Tensor, weight_OI: Tensor, bias_O: Tensor | None, packed: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(weight_OI)
        return _multiply(x_TI, weight_OI, bias_O, packed)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (weight_OI,) = ctx.saved_tensors
        return _multiply(gradients[0].contiguous(), weight_OI.T, None, None), None, None, None
