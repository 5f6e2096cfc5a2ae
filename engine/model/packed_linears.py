"""The base's linears on a CPU: products by oneDNN instead of torch's own, from packed copies of the
weights where memory allows.

Each linear's bound `forward` is wrapped, so that modules and parameters stay the stock model's;
what acts at a linear wraps it after this. Knows no row and no adapter.

Shape letters: I input width, O output width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from engine.model.fused_activation import FusedActivation
from engine.ops.frozen_linear import is_multipliable, multiply_frozen, pack_weight


def pack_linears(
    modules: Iterable[nn.Module], budget: int, fused: Mapping[nn.Module, FusedActivation]
) -> None:
    """Wraps the linears among a base's modules. Each is packed when it is first used.

    `budget` is what all copies together may take; where they would take more there are none, and
    products read the stock weights. `fused` are the activations that linears may apply.
    """
    linears = [m for m in dict.fromkeys(modules) if isinstance(m, nn.Linear | Conv1D)]
    linears = [linear for linear in linears if is_multipliable(linear.weight)]
    num_bytes = sum(linear.weight.numel() * linear.weight.itemsize for linear in linears)
    for linear in linears:
        linear.forward = _wrap(linear, num_bytes <= budget, fused.get(linear))  # type: ignore[method-assign]


def _wrap(
    linear: nn.Linear | Conv1D, has_copy: bool, fused: FusedActivation | None
) -> Callable[[Tensor], Tensor]:
    stock = linear.forward
    packed: Tensor | None = None

    def forward(x: Tensor) -> Tensor:
        nonlocal packed
        # of a weight that learns a copy would grow old; a base may have moved to a device
        if linear.weight.requires_grad or not linear.weight.is_cpu:
            return stock(x)
        weight_OI = linear.weight.T if isinstance(linear, Conv1D) else linear.weight
        if packed is None and has_copy:
            packed = pack_weight(weight_OI)
        if fused is None or not fused.is_free(x):
            return multiply_frozen(x, weight_OI, linear.bias, packed)
        return fused.keep(multiply_frozen(x, weight_OI, linear.bias, packed, fused.name))

    return forward
