"""Activations of the frozen layers below a job's lowest adapter: computed once per row.

Shape letters: T tokens of all rows, D hidden width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.base import Base
from engine.packing import Batch, repack, unpack


class PrefixCache:
    """What enters layer `boundary`, by row key. Rows past the budget are computed each time."""

    def __init__(self, base: Base, boundary: int, max_bytes: int) -> None:
        self._base = base
        self.boundary = boundary
        self._max_bytes = max_bytes
        self._rows: dict[int, Tensor] = {}
        self.num_bytes = 0

    @torch.no_grad()
    def hidden(self, batch: Batch, keys: Sequence[int]) -> Tensor | None:
        """What enters layer `boundary` of rows with these keys; none when that is the first."""
        if self.boundary == 0:
            return None
        if all(key in self._rows for key in keys):
            return repack([self._rows[key] for key in keys], batch)
        hidden = self._base.run(batch, 0, self.boundary)
        for key, row_TD in zip(keys, unpack(hidden, batch), strict=True):
            self._keep(key, row_TD)
        return hidden

    def _keep(self, key: int, row_TD: Tensor) -> None:
        size = row_TD.numel() * row_TD.element_size()
        if key not in self._rows and self.num_bytes + size <= self._max_bytes:
            self._rows[key] = row_TD.clone()
            self.num_bytes += size
