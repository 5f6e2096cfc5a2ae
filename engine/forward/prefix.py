"""The frozen prefix of a training: cached hidden states that enter its lowest trained layer.

Rows are computed in the chunks in which they are filled, so that a row's hidden states do not
depend on the step that needs them first. A chunk that no cache has room for is computed every time.

Shape letters: T tokens of all rows, D hidden width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor

from engine.errors import BadTraining
from engine.forward.forward import make_batch
from engine.forward.prefix_cache import PrefixCache
from engine.model.base import Base
from engine.model.batch import Batch, repack, unpack
from engine.port import Row

_private = count()


def shared_name(cache: str) -> str:
    """The cache's name for a dataset that a caller names; it differs from every private name."""
    return f"shared {cache}"


@dataclass(frozen=True, slots=True)
class CachedRows:
    """Some rows of a training's prefix, by key."""

    prefix: Prefix
    keys: Sequence[int]

    def of(self, rows: Sequence[int]) -> CachedRows:
        return CachedRows(self.prefix, [self.keys[row] for row in rows])

    def lookup(self, batch: Batch) -> Tensor | None:
        return self.prefix.lookup(batch, [self.keys[i] for i in batch.order])


class Prefix:
    """One training's hold on its dataset's frozen activations at one layer, its boundary."""

    def __init__(
        self, base: Base, cache: PrefixCache, name: str | None, max_bytes: int, boundary: int
    ) -> None:
        self._base, self._cache, self._max_bytes = base, cache, max_bytes
        self._is_private = name is None
        self._name = f"private {next(_private)}" if name is None else shared_name(name)
        self.boundary = boundary
        self._stored = cache.hold(self._name, boundary)

    def move(self, boundary: int) -> None:
        if boundary == self.boundary:
            return
        # held before the old one is released, from which the new one may be computed
        stored = self._cache.hold(self._name, boundary)
        self._cache.release(self._name, self.boundary)
        self.boundary, self._stored = boundary, stored

    def close(self) -> None:
        if self._is_private:
            self._cache.forget(self._name)
        self._cache.release(self._name, self.boundary)

    def lookup(self, batch: Batch, keys: Sequence[int]) -> Tensor | None:
        """The hidden states of these rows at the boundary; None where some are not cached."""
        if self.boundary == 0 or not all(key in self._stored.rows for key in keys):
            return None
        rows = [self._stored.rows[key] for key in keys]
        for key, row_TD, length in zip(keys, rows, batch.lengths, strict=True):
            if len(row_TD) != length:
                raise BadTraining(
                    f"the row of key {key} has {length} tokens; what was filled has {len(row_TD)}"
                )
        return self._pack(rows, batch)

    @torch.no_grad()
    def lookup_or_run(self, batch: Batch, keys: Sequence[int]) -> Tensor | None:
        """The hidden states at the boundary, computed where not cached; None at the first layer."""
        if self.boundary == 0:
            return None
        hidden = self.lookup(batch, keys)
        return self._base.run_layers(batch, 0, self.boundary) if hidden is None else hidden

    @torch.no_grad()
    def fill(self, rows: Sequence[Row], keys: Sequence[int]) -> None:
        """Cache the hidden states of these rows at the boundary, computed in one forward."""
        if self.boundary == 0 or all(key in self._stored.rows for key in keys):
            return
        bare = [Row(tokens=row.tokens, types=row.types) for row in rows]
        batch = make_batch(self._base, bare, {})
        ordered = [keys[i] for i in batch.order]
        layer, entering = 0, None
        if (lower := self._cache.below(self._name, self.boundary, ordered)) is not None:
            layer, entering = lower[0], self._pack(lower[1], batch)
        hidden = unpack(self._base.run_layers(batch, layer, self.boundary, entering), batch)
        new = {k: h for k, h in zip(ordered, hidden, strict=True) if k not in self._stored.rows}
        self._cache.keep(self._stored, list(new), list(new.values()), self._max_bytes)

    def _pack(self, rows: Sequence[Tensor], batch: Batch) -> Tensor:
        device = self._base.numerics.device
        return repack([row_TD.to(device) for row_TD in rows], batch)
