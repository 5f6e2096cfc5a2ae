"""An activation that the linear before it applies, in one pass over the product.

Its bound `forward` is wrapped: what the linear has activated already passes through. Knows two
modules; no slot and no adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from transformers.activations import GELUActivation

from engine.families import Family

#: oneDNN's names of those whose float32 bits are the same fused or not, so that no row's answer
#: depends on whether a neighbour's adapter acts between the two modules. bfloat16 would be rounded
#: once instead of twice, and gains 2 % of a forward; float32 gains 9 % (MiniLM-L6, AMD Zen 5).
_NAMES: dict[type[nn.Module], str] = {GELUActivation: "gelu", nn.GELU: "gelu", nn.ReLU: "relu"}


class FusedActivation:
    """One activation module. Until it is told what acts at its linear, nothing is fused."""

    def __init__(self, module: nn.Module) -> None:
        self.name = _NAMES[type(module)]
        self._acts: Callable[[], bool] | None = None
        self._activated: Tensor | None = None
        module.forward = self._wrap(module.forward)

    def allow(self, acts: Callable[[], bool]) -> None:
        """`acts` tells whether something changes the linear's output in the forward that runs."""
        self._acts = acts

    def is_free(self, x: Tensor) -> bool:
        """Whether the linear may apply it to the product of `x`."""
        learns = x.requires_grad and torch.is_grad_enabled()
        return self._acts is not None and not learns and not self._acts()

    def keep(self, activated: Tensor) -> Tensor:
        """What passes through next."""
        self._activated = activated
        return activated

    def _wrap(self, stock: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def forward(x: Tensor) -> Tensor:
            activated, self._activated = self._activated, None
            return x if x is activated else stock(x)

        return forward


def find_fusible(
    model: nn.Module, family: Family, layer_paths: Sequence[str]
) -> dict[str, FusedActivation]:
    """Those of a base, by the path of their linear."""
    if family.activation is None:
        return {}
    fused = {}
    for layer in layer_paths:
        path, after = (f"{layer}.{name}" for name in family.activation)
        activation = model.get_submodule(after)
        if is_fusible(model.get_submodule(path), activation):
            fused[path] = FusedActivation(activation)
    return fused


def is_fusible(linear: nn.Module, activation: nn.Module) -> bool:
    """Whether fusing the two changes no bit."""
    if isinstance(activation, nn.GELU) and activation.approximate != "none":
        return False
    weight = linear.weight
    is_float32 = isinstance(weight, Tensor) and weight.dtype == torch.float32
    return type(activation) in _NAMES and is_float32
