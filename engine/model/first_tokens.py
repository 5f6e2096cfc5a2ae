"""Computes only the first token of each row in a base's last layer, after its attention.

For heads that read the first token only: the other tokens are needed as keys and values, and no
further. Knows modules and batches; no slot and no adapter.

Shape letters: R rows, T tokens of all rows, D hidden width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from engine.model.batch import Batch


class FirstTokens:
    """One layer, whose module `end` takes what its attention gave and the residual."""

    def __init__(self, model: nn.Module, layer: str, end: str) -> None:
        self._layer, self._before = f"{layer}.", f"{layer}.{end.partition('.')[0]}."
        self._end = f"{layer}.{end}."
        self._starts_R: Tensor | None = None
        module = model.get_submodule(f"{layer}.{end}")
        module.forward = self._wrap(module.forward)

    def covers(self, path: str) -> bool:
        """Whether a module gets first tokens only, while that lasts."""
        if path.startswith(self._before):
            return path.startswith(self._end)
        return path.startswith(self._layer)

    @contextmanager
    def only(self, batch: Batch) -> Iterator[None]:
        """While this lasts a forward of the packed batch ends with hidden states [1, R, D]."""
        starts = [start for start, _ in batch.spans]
        self._starts_R = torch.tensor(starts, device=batch.ids.device)
        try:
            yield
        finally:
            self._starts_R = None

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """While this lasts another forward may run within the one that is running."""
        own, self._starts_R = self._starts_R, None
        try:
            yield
        finally:
            self._starts_R = own

    def _wrap(self, stock: Any) -> Any:
        def forward(attended: Tensor, residual: Tensor, *more: Any) -> Tensor:
            if (starts_R := self._starts_R) is not None:
                attended, residual = (x.index_select(1, starts_R) for x in (attended, residual))
            return cast(Tensor, stock(attended, residual, *more))

        return forward
