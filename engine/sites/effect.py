"""What one adapter does at one site. Knows no kind, no module, no hook and no slot.

Shape letters: K ranks, I input width, O output width.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from engine.sites.routes import Route, at_site


@dataclass(frozen=True, slots=True, kw_only=True)
class LowRank:
    """One adapter's `up(act(down(x)))` at one site; `up` already contains any scaling."""

    down_KI: Tensor
    up_KO: Tensor
    down_bias_K: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """`out + out*gain + product(x) + shift` of what a module gives, `x + x*input_gain` of what it
    gets. Gains are distances from one: near one bfloat16 has only two decimals.
    """

    product: LowRank | None = None
    shift_O: Tensor | None = None
    gain_O: Tensor | None = None
    input_gain_I: Tensor | None = None
    #: which boundaries of the base the product reads and changes
    route: Route = field(default=at_site)

    @property
    def finite(self) -> bool:
        return all(bool(torch.isfinite(tensor).all()) for tensor in self.tensors)

    @property
    def tensors(self) -> list[Tensor]:
        product = self.product
        products = () if product is None else (product.down_KI, product.up_KO, product.down_bias_K)
        parts = (self.shift_O, self.gain_O, self.input_gain_I, *products)
        return [tensor for tensor in parts if tensor is not None]
