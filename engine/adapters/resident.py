"""The adapters that are loaded in host memory, by digest, and placed on the device, by slot.

Owns the tensors; the caller of the port decides which digest goes into which slot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from engine.adapters.adapter import Adapter
from engine.adapters.composition import Composition
from engine.adapters.head_layers import HeadLayers, HeadWeights
from engine.errors import CannotCompose, NotLoaded, OutOfMemory
from engine.model.base import Base
from engine.ops.grouped_low_rank import Activation
from engine.sites.effect import Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One adapter in a slot: every effect ready in the base's precision, on its device."""

    #: only adapters of one group share a stretch: same kind, same routes, same activation
    group: str
    activation: Activation | None
    effects: Mapping[str, Effect]
    head: HeadLayers
    head_weights: HeadWeights
    #: the lowest layer that the adapter changes
    first_layer: int


def place(adapter: Adapter | Composition, base: Base) -> Placed:
    """Differentiable: training places its masters anew at every step."""
    effects = adapter.effects(base)
    return Placed(
        group=adapter.group,
        activation=adapter.activation,
        effects=effects,
        head=HeadLayers(adapter.head, base.family, base.hidden_size),
        head_weights=_to(adapter.head_weights, base),
        first_layer=base.first_layer(effects),
    )


def _to(tensors: Mapping[str, Tensor], base: Base) -> dict[str, Tensor]:
    return {name: tensor.to(base.numerics.device) for name, tensor in tensors.items()}


class AdapterCache:
    """Adapters by digest under a byte budget, and the slots."""

    def __init__(self, base: Base, num_slots: int, host_bytes: int) -> None:
        self._base = base
        self._host_bytes = host_bytes
        self.num_slots = num_slots
        self.loaded: dict[str, Adapter | Composition] = {}
        self.digests: dict[int, str] = {}
        self._placed: dict[int, Placed] = {}

    def load(self, digest: str, adapter: Adapter) -> None:
        held = sum(a.host_bytes for d, a in self.loaded.items() if d != digest)
        if held + adapter.host_bytes > self._host_bytes:
            raise OutOfMemory(
                f"the adapter takes {adapter.num_bytes} bytes; "
                f"{held} of the budget of {self._host_bytes} are taken"
            )
        self.loaded[digest] = adapter

    def compose(self, digest: str, first: str, parts: Mapping[str, float]) -> None:
        """Load a composition of what is loaded. Raises CannotCompose, NotLoaded."""
        adapters: dict[str, Adapter] = {}
        for part in (first, *parts):
            adapter = self.loaded.get(part)
            if not isinstance(adapter, Adapter):
                raise NotLoaded(f"the composition needs {part[:12]}…, which is not loaded")
            adapters[part] = adapter
        composition = Composition(
            first=adapters[first],
            parts=tuple((adapters[part], weight) for part, weight in parts.items()),
            digests=frozenset(adapters),
        )
        for site, effect in composition.effects(self._base).items():
            if not effect.finite:
                raise CannotCompose(f"at {site} the weighted sum overflows the base's precision")
        self.loaded[digest] = composition

    def unload(self, digest: str) -> None:
        gone = {
            name
            for name, held in self.loaded.items()
            if name == digest or (isinstance(held, Composition) and digest in held.digests)
        }
        for name in gone:
            del self.loaded[name]
        self.evict([slot for slot, placed in self.digests.items() if placed in gone])

    def evict(self, slots: list[int]) -> None:
        for slot in slots:
            self.digests.pop(slot, None)
            self._placed.pop(slot, None)

    def place(self, slot: int, digest: str) -> None:
        if not 1 <= slot <= self.num_slots:
            raise NotLoaded(
                f"slot {slot} does not exist; this engine has slots 1 to {self.num_slots}"
            )
        if digest not in self.loaded:
            raise NotLoaded(f"slot {slot} was to hold {digest[:12]}…, which is not loaded")
        if self.digests.get(slot) != digest:
            self._placed[slot] = place(self.loaded[digest], self._base)
            self.digests[slot] = digest

    def hold(self, slot: int, placed: Placed) -> None:
        """Place a job's masters as they are now, under no digest."""
        self._placed[slot] = placed

    def drop(self, slot: int) -> None:
        self._placed.pop(slot, None)

    def holds(self, slot: int, digest: str | None, placed: Placed | None) -> bool:
        """Whether a slot still holds what it held: a digest's content never changes, that of a
        training slot has no name.
        """
        if digest is None:
            return self._placed.get(slot) is placed
        return self.digests.get(slot) == digest

    def __getitem__(self, slot: int) -> Placed:
        if slot not in self._placed:
            raise NotLoaded(f"slot {slot} holds nothing")
        return self._placed[slot]
