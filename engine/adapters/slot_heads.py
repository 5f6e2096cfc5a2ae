"""The weights of all slots' heads of equal layers, and their logits in grouped products.

Float32 in any base. Knows no digest and no row of a batch.

Shape letters: N features of all rows, D hidden width, O outputs.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from engine.adapters.flexible_heads import ACTIVATIONS
from engine.adapters.head_layers import HeadLayers
from engine.families.family import HeadLayer
from engine.ops.grouped_product import GroupedProduct
from engine.ops.segments import Segments
from engine.ops.slot_matrices import SlotMatrices
from engine.ops.slot_stack import SlotMemory
from engine.ops.slot_vectors import SlotVectors


class SlotHeads:
    """Heads that have the same layers and the same number of outputs."""

    def __init__(self, head: HeadLayers, memory: SlotMemory) -> None:
        self._layers, self._shapes = head.layers, head.shapes
        self._matrices: dict[str, SlotMatrices] = {}
        self._vectors: dict[str, SlotVectors] = {}
        for name, shape in head.shapes.items():
            if len(shape) == 2:
                self._matrices[name] = SlotMatrices(memory, shape[1], torch.float32)
            else:
                self._vectors[name] = SlotVectors(memory, shape[0], torch.float32)

    def put(self, slot: int, weights: Mapping[str, Tensor]) -> None:
        for name, matrices in self._matrices.items():
            matrices.put(slot, weights[name])
        for name, vectors in self._vectors.items():
            vectors.put(slot, weights[name])

    def remove(self, slot: int) -> None:
        for matrices in self._matrices.values():
            matrices.remove(slot)
        for vectors in self._vectors.values():
            vectors.remove(slot)

    def shrink(self) -> None:
        """Gives back the places that no slot has."""
        for matrices in self._matrices.values():
            matrices.shrink()
        for vectors in self._vectors.values():
            vectors.shrink()

    def logits(self, features_ND: Tensor, segments: Segments, product: GroupedProduct) -> Tensor:
        """[N, O]; `segments` are of features."""
        slot_N = segments.slot_of_tokens(features_ND.device)
        for layer in self._layers:
            features_ND = self._layer(layer, features_ND, segments, slot_N, product)
        return features_ND

    def _layer(
        self,
        layer: HeadLayer,
        features_ND: Tensor,
        segments: Segments,
        slot_N: Tensor,
        product: GroupedProduct,
    ) -> Tensor:
        weight = f"{layer.name}.weight"
        linear_NO = product.shrink(features_ND, self._matrices[weight], segments)
        linear_NO = linear_NO[:, : self._shapes[weight][0]]
        linear_NO = self._plus(linear_NO, f"{layer.name}.bias", slot_N)
        out_NO: Tensor = ACTIVATIONS[layer.activation](linear_NO)
        if layer.norm:
            out_NO = torch.nn.functional.layer_norm(out_NO, out_NO.shape[1:], eps=layer.norm_eps)
            out_NO = out_NO * self._vectors[f"{layer.norm}.weight"].of_tokens(slot_N)
            out_NO = self._plus(out_NO, f"{layer.norm}.bias", slot_N)
        return out_NO

    def _plus(self, features_NO: Tensor, name: str, slot_N: Tensor) -> Tensor:
        if name not in self._vectors:
            return features_NO
        return features_NO + self._vectors[name].of_tokens(slot_N)
