"""What the slots of one group do at one site: their products and vectors, each in one tensor.

Knows no module, no hook and no token.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.ops.slot_matrices import SlotMatrices
from engine.ops.slot_stack import SlotMemory
from engine.ops.slot_vectors import SlotVectors
from engine.sites.effect import Effect
from engine.sites.routes import Route


class SiteWeights:
    """The parts of `Effect`, for all slots. A part is there once one slot had it."""

    def __init__(
        self,
        route: Route,
        memory: SlotMemory,
        *,
        dtype: torch.dtype,
        product_dtype: torch.dtype,
    ) -> None:
        """`dtype` is the base's, for vectors; products are computed in `product_dtype`."""
        self.route = route
        self.acts_S: NDArray[np.bool_] = np.zeros(memory.num_slots, dtype=np.bool_)
        self.matrices: dict[str, SlotMatrices] = {}
        self.vectors: dict[str, SlotVectors] = {}
        self._memory = memory
        self._dtype, self._product_dtype = dtype, product_dtype

    def put(self, slot: int, effect: Effect) -> bool:
        """Whether a part was added or moved: what was planned for all slots no longer holds."""
        matrices, vectors = _parts(effect)
        added = not (
            matrices.keys() <= self.matrices.keys() and vectors.keys() <= self.vectors.keys()
        )
        for name, matrix in matrices.items():
            added |= self._matrices(name, matrix.shape[1]).put(slot, matrix)
        for name, vector in vectors.items():
            added |= self._vectors(name, len(vector)).put(slot, vector)
        for name in self.matrices.keys() - matrices.keys():
            self.matrices[name].remove(slot)
        for name in self.vectors.keys() - vectors.keys():
            self.vectors[name].remove(slot)
        self.acts_S[slot] = True
        return added

    def remove(self, slot: int) -> None:
        for matrices in self.matrices.values():
            matrices.remove(slot)
        for vectors in self.vectors.values():
            vectors.remove(slot)
        self.acts_S[slot] = False

    def shrink(self) -> None:
        """Gives back the places that no slot has."""
        for matrices in self.matrices.values():
            matrices.shrink()
        for vectors in self.vectors.values():
            vectors.shrink()

    def _matrices(self, name: str, width: int) -> SlotMatrices:
        if name not in self.matrices:
            self.matrices[name] = SlotMatrices(self._memory, width, self._product_dtype)
        return self.matrices[name]

    def _vectors(self, name: str, width: int) -> SlotVectors:
        if name not in self.vectors:
            self.vectors[name] = SlotVectors(self._memory, width, self._dtype)
        return self.vectors[name]


def _parts(effect: Effect) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    product = effect.product
    matrices = {} if product is None else {"down": product.down_KI, "up": product.up_KO}
    if product is not None and product.down_bias_K is not None:
        # of as many numbers as the slot has ranks: a matrix of one column
        matrices["down_bias"] = product.down_bias_K[:, None]
    vectors = {
        "gain": effect.gain_O,
        "shift": effect.shift_O,
        "input_gain": effect.input_gain_I,
    }
    return matrices, {name: vector for name, vector in vectors.items() if vector is not None}
