"""One adapter's effect at one site, with gradients for its weights.

Shape letters: T tokens, K ranks, I input width, O output width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.ops.grouped_product import Activation
from engine.ops.low_rank_autograd import low_rank_autograd
from engine.sites.effect import Effect, LowRank
from engine.sites.hooks import Dropout, TrainedLinear


class TrainedSpan:
    """The tokens from `start` to `stop`, all of one slot."""

    def __init__(
        self, start: int, stop: int, effect: Effect, activation: Activation | None
    ) -> None:
        self._start, self._stop = start, stop
        self._effect, self._activation = effect, activation

    @property
    def changes_input(self) -> bool:
        return self._effect.input_gain_I is not None

    @property
    def changes_output(self) -> bool:
        effect = self._effect
        return any(part is not None for part in (effect.product, effect.gain_O, effect.shift_O))

    @property
    def autograd(self) -> TrainedLinear | None:
        """Where there is a product and nothing else, over the whole stream."""
        effect = self._effect
        vectors = (effect.gain_O, effect.shift_O, effect.input_gain_I)
        if effect.product is None or any(vector is not None for vector in vectors):
            return None
        plain = self._activation is None and effect.product.down_bias_K is None
        return self._run_autograd if plain else None

    def _run_autograd(
        self, weight_IO: Tensor, bias_O: Tensor | None, x_TI: Tensor, dropout: Dropout | None
    ) -> Tensor:
        product = self._effect.product
        assert product is not None
        assert len(x_TI) == self._stop - self._start, "a slot that learns is alone"
        mask_TK = None if dropout is None else dropout.mask(x_TI, len(product.down_KI))
        return low_rank_autograd(x_TI, weight_IO, bias_O, product.down_KI, product.up_KO, mask_TK)

    def of(self, stream: Tensor) -> Tensor:
        return stream[self._start : self._stop]

    def scale_input(self, stream_TI: Tensor) -> Tensor:
        gain_I = self._effect.input_gain_I
        assert gain_I is not None
        scaled_TI = stream_TI.clone()
        self.of(scaled_TI).addcmul_(self.of(stream_TI), gain_I)
        return scaled_TI

    def add(self, out_TO: Tensor, x_TI: Tensor, dropout: Dropout | None) -> None:
        effect = self._effect
        if effect.gain_O is not None:
            # autograd needs the values from before the change
            before_TO = out_TO.clone() if torch.is_grad_enabled() else out_TO
            out_TO.addcmul_(before_TO, effect.gain_O)
        if effect.product is not None:
            self._add_product(out_TO, x_TI, effect.product, dropout)
        if effect.shift_O is not None:
            out_TO.add_(effect.shift_O)

    def _add_product(
        self, out_TO: Tensor, x_TI: Tensor, product: LowRank, dropout: Dropout | None
    ) -> None:
        h_TK = torch.nn.functional.linear(x_TI, product.down_KI, product.down_bias_K)
        if self._activation is not None:
            h_TK = self._activation(h_TK)
        if dropout is not None:
            h_TK = dropout(h_TK)
        out_TO.addmm_(h_TK, product.up_KO)
