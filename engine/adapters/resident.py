"""The adapters that are loaded in host memory, by digest, and placed in slots.

The caller of the port decides which digest goes into which slot.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from torch import Tensor

from engine.adapters.adapter import Adapter
from engine.adapters.composition import Composition
from engine.adapters.head_layers import HeadLayers, HeadWeights
from engine.adapters.loaded_adapter import LoadedAdapter
from engine.adapters.slot_pool import SlotGroup, SlotPool
from engine.errors import CannotCompose, NotLoaded, OutOfMemory
from engine.failures import is_out_of_memory
from engine.model.base import Base
from engine.ops.grouped_product import Activation
from engine.sites.effect import Effect

#: places beyond the slots, for adapters in training
TRAINING_SLOTS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One adapter as a forward reads it: from a pool, by its slot, or, while it learns, from its
    effects themselves.
    """

    #: adapters of one group act together: same routes, same activation
    group: str
    activation: Activation | None
    effects: Mapping[str, Effect]
    head: HeadLayers
    head_weights: HeadWeights
    #: the lowest layer that the adapter changes
    first_layer: int
    #: None for masters that learn
    pool: SlotPool | None = None


def place(adapter: Adapter, base: Base) -> Placed:
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


def slot_groups(adapters: Iterable[Placed]) -> dict[str, SlotGroup]:
    """The groups of adapters in slots, by name in order."""
    return {
        placed.group: placed.pool.groups[placed.group]
        for placed in sorted(adapters, key=lambda placed: placed.group)
        if placed.pool is not None
    }


def _place_loaded(held: LoadedAdapter | Composition, base: Base) -> Placed:
    return Placed(
        group=held.group,
        activation=held.activation,
        effects=held.effects if isinstance(held, LoadedAdapter) else held.effects(),
        head=HeadLayers(held.head, base.family, base.hidden_size),
        head_weights=held.head_weights,
        first_layer=held.first_layer,
    )


def _to(tensors: Mapping[str, Tensor], base: Base) -> dict[str, Tensor]:
    return {name: tensor.to(base.numerics.device) for name, tensor in tensors.items()}


class AdapterCache:
    """Adapters by digest under a byte budget, and the slots."""

    def __init__(self, base: Base, num_slots: int, host_bytes: int, slot_bytes: int) -> None:
        self._base = base
        self._host_bytes = host_bytes
        self.num_slots = num_slots
        self.loaded: dict[str, LoadedAdapter | Composition] = {}
        #: what all of them take in host memory
        self.num_bytes = 0
        #: the compositions that each digest is part of
        self._composed: dict[str, set[str]] = {}
        self.digests: dict[int, str] = {}
        self._placed: dict[int, Placed] = {}
        self._slots_read: set[int] = set()
        device = base.numerics.device
        # a CPU takes memory where something is written, and where nothing moves nothing is copied
        pool_bytes = None if device.type == "cpu" else slot_bytes
        self._pool = SlotPool(num_slots + TRAINING_SLOTS, base.dtype, device, pool_bytes)

    def load(self, digest: str, adapter: LoadedAdapter) -> None:
        assert digest not in self.loaded, "a digest's content never changes"
        if self.num_bytes + adapter.host_bytes > self._host_bytes:
            raise OutOfMemory(
                f"the adapter takes {adapter.host_bytes} bytes; "
                f"{self.num_bytes} of the budget of {self._host_bytes} are taken"
            )
        self.loaded[digest] = adapter
        self.num_bytes += adapter.host_bytes

    def compose(self, digest: str, first: str, parts: Mapping[str, float]) -> None:
        """Load a composition of what is loaded. Raises CannotCompose, NotLoaded."""
        adapters: dict[str, LoadedAdapter] = {}
        for part in (first, *parts):
            adapter = self.loaded.get(part)
            if not isinstance(adapter, LoadedAdapter):
                raise NotLoaded(f"the composition needs {part[:12]}…, which is not loaded")
            adapters[part] = adapter
        composition = Composition(
            first=adapters[first],
            parts=tuple((adapters[part], weight) for part, weight in parts.items()),
            digests=frozenset(adapters),
        )
        for site, effect in composition.effects().items():
            if not effect.finite:
                raise CannotCompose(f"at {site} the weighted sum overflows the base's precision")
        self.loaded[digest] = composition
        for part in adapters:
            self._composed.setdefault(part, set()).add(digest)

    def unload(self, digest: str) -> None:
        named = {digest, *self._composed.pop(digest, ())}
        gone = {name for name in named if name in self.loaded}
        for name in gone:
            held = self.loaded.pop(name)
            self.num_bytes -= held.host_bytes
            for part in held.digests if isinstance(held, Composition) else ():
                self._composed.get(part, set()).discard(name)
        self.evict([slot for slot, placed in self.digests.items() if placed in gone])

    def evict(self, slots: list[int]) -> None:
        for slot in slots:
            self.digests.pop(slot, None)
            self.drop(slot)

    @contextmanager
    def reading(self, slots: Collection[int]) -> Iterator[None]:
        """While this lasts nothing may change these slots: a forward reads them, and may pause."""
        before, self._slots_read = self._slots_read, self._slots_read | set(slots)
        try:
            yield
        finally:
            self._slots_read = before

    def place(self, slot: int, digest: str) -> None:
        if not 1 <= slot <= self.num_slots:
            raise NotLoaded(
                f"slot {slot} does not exist; this engine has slots 1 to {self.num_slots}"
            )
        if digest not in self.loaded:
            raise NotLoaded(f"slot {slot} was to hold {digest[:12]}…, which is not loaded")
        if self.digests.get(slot) != digest:
            self.digests.pop(slot, None)
            self.hold(slot, _place_loaded(self.loaded[digest], self._base))
            self.digests[slot] = digest

    def hold(self, slot: int, placed: Placed) -> None:
        """Places what has no digest: a job's masters as they are now.

        Raises OutOfMemory; the slot is empty then.
        """
        assert slot not in self._slots_read, "a forward that is paused reads this slot"
        self._placed.pop(slot, None)
        own = (placed.group, placed.activation, placed.effects, placed.head, placed.head_weights)
        try:
            self._pool.put(slot, *own)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory(
                f"the device has no memory left to hold the adapter in slot {slot}: {error}"
            ) from error
        # what is in the pool need not be held twice
        self._placed[slot] = replace(placed, pool=self._pool, effects={}, head_weights={})

    def drop(self, slot: int) -> None:
        assert slot not in self._slots_read, "a forward that is paused reads this slot"
        self._placed.pop(slot, None)
        self._pool.remove(slot)

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
