"""What an adapter does at a site, and several adapters side by side over one stretch of tokens.

An effect is a value made at placing; a stretch is several of one group, batched for one forward.
Knows no kind, no module and no hook.

Shape letters: T tokens, K ranks, I input width, O output width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from engine.product import Activation, Block, LowRank, Owners
from engine.routes import Route, at_site


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
        tensors = [self.shift_O, self.gain_O, self.input_gain_I]
        if self.product is not None:
            tensors += [self.product.down_KI, self.product.up_KO, self.product.down_bias_K]
        return [tensor for tensor in tensors if tensor is not None]


_NOTHING = Effect()


class Stretch:
    """Some slots' effects of one group at one site, over the tokens `start..stop` of the stream."""

    def __init__(
        self,
        start: int,
        owners: Owners,
        effects: Sequence[Effect | None],
        activation: Activation | None = None,
    ) -> None:
        self._start, self._stop = start, start + sum(owners.counts)
        given = [_NOTHING if effect is None else effect for effect in effects]
        products = [effect.product for effect in given]
        self._block = Block(owners, products, activation) if any(products) else None
        self._gain = owners.spread([effect.gain_O for effect in given])
        self._shift = owners.spread([effect.shift_O for effect in given])
        self._input_gain = owners.spread([effect.input_gain_I for effect in given])

    @property
    def changes_input(self) -> bool:
        return self._input_gain is not None

    @property
    def changes_output(self) -> bool:
        return any(part is not None for part in (self._block, self._gain, self._shift))

    def of(self, stream: Tensor) -> Tensor:
        """The stretch's tokens of a flattened stream: a view."""
        return stream[self._start : self._stop]

    def scale_input(self, stream_TI: Tensor) -> Tensor:
        """A new stream: what a module reads is read by others too."""
        assert self._input_gain is not None
        scaled_TI = stream_TI.clone()
        self.of(scaled_TI).addcmul_(self.of(stream_TI), self._input_gain())
        return scaled_TI

    def add(self, out_TO: Tensor, x_TI: Tensor, dropout: Activation | None) -> None:
        """Change the stretch's own tokens `out_TO` in place; `x_TI` is what the products read."""
        if self._gain is not None:
            out_TO.addcmul_(_unchanged(out_TO), self._gain())
        if self._block is not None:
            self._block.add_to(out_TO, x_TI, dropout)
        if self._shift is not None:
            out_TO.add_(self._shift())


def _unchanged(out_TO: Tensor) -> Tensor:
    """As autograd needs it: with the values from before the change."""
    return out_TO.clone() if torch.is_grad_enabled() else out_TO
