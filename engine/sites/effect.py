"""What an adapter does at a site, and how several adapters act over one span of tokens.

An effect is created when an adapter is placed in a slot; a span batches several effects of one
group for one forward. Knows no kind, no module and no hook.

Shape letters: T tokens, S slots, K ranks, I input width, O output width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from engine.ops.grouped_low_rank import Activation, Block, LowRank, Span
from engine.sites.hooks import Dropout, TrainedLinear
from engine.sites.routes import Route, at_site


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
        return [tensor for tensor in self._parts if tensor is not None]

    def like(self, other: Effect) -> bool:
        """Whether one could take the other's place among neighbours."""
        shapes = [
            [None if part is None else part.shape for part in effect._parts]
            for effect in (self, other)
        ]
        return self.route is other.route and shapes[0] == shapes[1]

    @property
    def _parts(self) -> list[Tensor | None]:
        product = self.product
        products = (
            (None, None, None)
            if product is None
            else (product.down_KI, product.up_KO, product.down_bias_K)
        )
        return [self.shift_O, self.gain_O, self.input_gain_I, *products]


_NOTHING = Effect()


class EffectSpan:
    """Some slots' effects of one group at one site, over the tokens of a span."""

    def __init__(
        self,
        span: Span,
        effects: Sequence[Effect | None],
        activation: Activation | None = None,
    ) -> None:
        self._span = span
        slot_effects = [_NOTHING if effect is None else effect for effect in effects]
        products = [effect.product for effect in slot_effects]
        self._block = Block(products, activation) if any(products) else None
        self._gain_SO = _stack([effect.gain_O for effect in slot_effects])
        self._shift_SO = _stack([effect.shift_O for effect in slot_effects])
        self._input_gain_SI = _stack([effect.input_gain_I for effect in slot_effects])

    def put(self, number: int, effect: Effect) -> None:
        """Another effect, like the one there was, in one slot's place."""
        if self._block is not None and effect.product is not None:
            self._block.put(number, effect.product)
        for vectors, vector in (
            (self._gain_SO, effect.gain_O),
            (self._shift_SO, effect.shift_O),
            (self._input_gain_SI, effect.input_gain_I),
        ):
            if vectors is not None and vector is not None:
                vectors[number] = vector

    @property
    def changes_input(self) -> bool:
        return self._input_gain_SI is not None

    @property
    def changes_output(self) -> bool:
        return any(part is not None for part in (self._block, self._gain_SO, self._shift_SO))

    @property
    def autograd(self) -> TrainedLinear | None:
        """What replaces a linear in training, where that can be one step of autograd: a single
        adapter's product and nothing else, over the whole stream.
        """
        vectors = (self._gain_SO, self._shift_SO, self._input_gain_SI)
        if self._block is None or any(vector is not None for vector in vectors):
            return None
        return self._run_autograd if self._block.is_bare else None

    def _run_autograd(
        self, weight_IO: Tensor, bias_O: Tensor | None, x_TI: Tensor, dropout: Dropout | None
    ) -> Tensor:
        assert self._block is not None
        assert len(x_TI) == self._span.stop - self._span.start, "a slot that learns is alone"
        return self._block.autograd(weight_IO, bias_O, x_TI, dropout)

    def of(self, stream: Tensor) -> Tensor:
        """The stretch's tokens of a flattened stream: a view."""
        return stream[self._span.start : self._span.stop]

    def scale_input(self, stream_TI: Tensor) -> Tensor:
        """A new stream: what a module reads is read by others too."""
        assert self._input_gain_SI is not None
        scaled_TI = stream_TI.clone()
        self.of(scaled_TI).addcmul_(self.of(stream_TI), self._span.own(self._input_gain_SI))
        return scaled_TI

    def add(self, out_TO: Tensor, x_TI: Tensor, dropout: Dropout | None) -> None:
        """Change the stretch's own tokens `out_TO` in place; `x_TI` is what the products read."""
        if self._gain_SO is not None:
            out_TO.addcmul_(_copy_for_autograd(out_TO), self._span.own(self._gain_SO))
        if self._block is not None:
            self._block.add_to(out_TO, x_TI, self._span, dropout)
        if self._shift_SO is not None:
            out_TO.add_(self._span.own(self._shift_SO))


def _stack(vectors: Sequence[Tensor | None]) -> Tensor | None:
    """[S, O], zero for slots without one; None when none has one."""
    first = next((vector for vector in vectors if vector is not None), None)
    if first is None:
        return None
    zero = torch.zeros_like(first)
    return torch.stack([zero if vector is None else vector for vector in vectors])


def _copy_for_autograd(out_TO: Tensor) -> Tensor:
    """As autograd needs it: with the values from before the change."""
    return out_TO.clone() if torch.is_grad_enabled() else out_TO
