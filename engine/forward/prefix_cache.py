"""Activations of frozen layers, shared by every training on the same rows: by dataset and layer.

What an open training holds stays; the rest goes when room is needed, least recently used first.
Knows no model.

Shape letters: T tokens of a row, D hidden width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from engine.forward.activation_storage import ActivationStorage, StoredTensor


@dataclass(slots=True)
class CachedLayer:
    """What enters one layer, of one dataset's rows."""

    rows: dict[int, Tensor] = field(default_factory=dict)
    held: list[StoredTensor] = field(default_factory=list)
    num_bytes: int = 0
    num_users: int = 0


class PrefixCache:
    """All of one engine's frozen activations."""

    def __init__(self, memory: ActivationStorage) -> None:
        self._memory = memory
        #: (dataset, layer), least recently used first
        self._stored: dict[tuple[str, int], CachedLayer] = {}
        self._forgotten: set[str] = set()

    @property
    def num_bytes(self) -> int:
        return sum(stored.num_bytes for stored in self._stored.values())

    def hold(self, name: str, layer: int) -> CachedLayer:
        """What there is of a dataset at a layer, kept until it is released."""
        self._forgotten.discard(name)
        stored = self._stored.pop((name, layer), None) or CachedLayer()
        self._stored[name, layer] = stored  # moves it to the recently used end
        stored.num_users += 1
        return stored

    def release(self, name: str, layer: int) -> None:
        self._stored[name, layer].num_users -= 1
        self._sweep(name)

    def forget(self, name: str) -> None:
        """Drop a dataset; what is held goes when it is released."""
        self._forgotten.add(name)
        self._sweep(name)

    def below(self, name: str, layer: int, keys: Sequence[int]) -> tuple[int, list[Tensor]] | None:
        """The nearest lower layer that has all these rows, and the rows there."""
        layers = sorted((own for dataset, own in self._stored if dataset == name), reverse=True)
        for lower in layers:
            rows = self._stored[name, lower].rows
            if 0 < lower < layer and all(key in rows for key in keys):
                return lower, [rows[key] for key in keys]
        return None

    def keep(
        self, stored: CachedLayer, keys: Sequence[int], rows: Sequence[Tensor], max_bytes: int
    ) -> bool:
        """Keep rows [T, D] together, if the dataset's own and the engine's budgets allow it."""
        flat_TD = torch.cat(list(rows))
        if stored.num_bytes + flat_TD.numel() * flat_TD.element_size() > max_bytes:
            return False
        held = self._store(flat_TD)
        if held is None:
            return False
        stored.held.append(held)
        stored.num_bytes += held.num_bytes
        parts = torch.split(held.tensor, [len(row) for row in rows])
        stored.rows |= dict(zip(keys, parts, strict=True))
        return True

    def _store(self, flat_TD: Tensor) -> StoredTensor | None:
        """In memory, at the cost of what nobody holds; else on disk."""
        while (held := self._memory.keep(flat_TD)) is None:
            unused = (key for key, stored in self._stored.items() if not stored.num_users)
            key = next((key for key in unused if self._in_memory(key)), None)
            if key is None:
                return self._memory.spill(flat_TD)
            self._drop(key)
        return held

    def _in_memory(self, key: tuple[str, int]) -> bool:
        return any(not held.spilled for held in self._stored[key].held)

    def _sweep(self, name: str) -> None:
        if name not in self._forgotten:
            return
        own = [key for key in self._stored if key[0] == name]
        for key in own:
            if not self._stored[key].num_users:
                self._drop(key)
        if all(key not in self._stored for key in own):
            self._forgotten.discard(name)

    def _drop(self, key: tuple[str, int]) -> None:
        for held in self._stored.pop(key).held:
            self._memory.free(held)
