"""Many slots' effects at one site, over the tokens of their segments. Without gradients.

Shape letters: T tokens, K ranks, I input width, O output width.
"""

from __future__ import annotations

from torch import Tensor

from engine.ops.grouped_product import Activation, GroupedProduct
from engine.ops.segments import Segments
from engine.ops.slot_matrices import SlotMatrices
from engine.ops.slot_vectors import SlotVectors
from engine.sites.hooks import Dropout, TrainedLinear
from engine.sites.site_weights import SiteWeights


class SlotSpan:
    """Reads the weights where they are when it acts, by slot."""

    def __init__(
        self,
        segments: Segments,
        weights: SiteWeights,
        product: GroupedProduct,
        activation: Activation | None,
    ) -> None:
        self._segments, self._product, self._activation = segments, product, activation
        matrices, vectors = weights.matrices, weights.vectors
        self._down, self._up, self._down_bias = (
            _matrices_met(matrices.get(part), segments) for part in ("down", "up", "down_bias")
        )
        self._gain, self._shift, self._input_gain = (
            _vectors_met(vectors.get(part), segments) for part in ("gain", "shift", "input_gain")
        )

    @property
    def changes_input(self) -> bool:
        return self._input_gain is not None

    @property
    def changes_output(self) -> bool:
        return any(part is not None for part in (self._up, self._gain, self._shift))

    @property
    def autograd(self) -> TrainedLinear | None:
        return None

    def of(self, stream: Tensor) -> Tensor:
        return self._segments.of(stream)

    def scale_input(self, stream_TI: Tensor) -> Tensor:
        assert self._input_gain is not None
        scaled_TI = stream_TI.clone()
        self.of(scaled_TI).addcmul_(self.of(stream_TI), self._own(self._input_gain))
        return scaled_TI

    def add(self, out_TO: Tensor, x_TI: Tensor, dropout: Dropout | None) -> None:
        assert dropout is None, "what is served drops nothing"
        h_TK = None if self._down is None else self._shrink(x_TI, self._down)
        if self._gain is not None:
            out_TO.addcmul_(out_TO, self._own(self._gain))
        if h_TK is not None and self._up is not None:
            self._product.expand(out_TO, h_TK, self._up, self._segments)
        if self._shift is not None:
            out_TO.add_(self._own(self._shift))

    def _shrink(self, x_TI: Tensor, down: SlotMatrices) -> Tensor:
        h_TK = self._product.shrink(x_TI, down, self._segments)
        if self._down_bias is not None:
            slot_T = self._segments.slot_of_tokens(x_TI.device)
            self._down_bias.add_columns(h_TK, slot_T)
        return h_TK if self._activation is None else self._activation(h_TK)

    def _own(self, vectors: SlotVectors) -> Tensor:
        return vectors.of_tokens(self._segments.slot_of_tokens(vectors.device))


def _matrices_met(part: SlotMatrices | None, segments: Segments) -> SlotMatrices | None:
    return part if part is not None and segments.meets(part.rows_S) else None


def _vectors_met(part: SlotVectors | None, segments: Segments) -> SlotVectors | None:
    return part if part is not None and segments.meets(part.present_S) else None
