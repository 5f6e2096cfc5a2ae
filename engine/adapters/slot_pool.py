"""The slots: weights of placed adapters and heads, at addresses that recorded forwards read.

Per group, site and part there is one tensor for all slots; placing an adapter copies its weights
there, so a forward that was recorded over it reads whatever the slots hold when it is replayed. A
tensor moves when it grows or shrinks, and a forward recorded before is recorded anew. Knows no
digest and no row.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from engine.adapters.head_layers import HeadLayers
from engine.adapters.slot_heads import SlotHeads
from engine.ops.grouped_product import Activation, GroupedProduct, choose_product
from engine.ops.slot_stack import SlotMemory
from engine.sites.effect import Effect
from engine.sites.site_weights import SiteWeights


class SlotGroup:
    """The weights of the slots that one set of actions serves: equal routes, one activation."""

    def __init__(self, activation: Activation | None) -> None:
        self.activation = activation
        self.sites: dict[str, SiteWeights] = {}
        #: grows when a tensor is added or moves: what was recorded before lacks it
        self.version = 0


class SlotPool:
    """Slots 1 to `num_slots`; slot 0 is the bare base."""

    def __init__(
        self,
        num_slots: int,
        dtype: torch.dtype,
        device: torch.device,
        num_bytes: int | None = None,
    ) -> None:
        """`dtype` is the base's. Beyond `num_bytes` the pool keeps no room that is not used; None:
        it has room for whatever fits into the slots at once.
        """
        self._memory = SlotMemory(num_slots + 1, device, num_bytes)
        self._dtype = dtype
        self.product: GroupedProduct
        self.product, self._product_dtype = choose_product(device, dtype)
        self.groups: dict[str, SlotGroup] = {}
        self._heads: dict[object, SlotHeads] = {}
        #: by slot, its group and the key of its head's layers
        self._keys: dict[int, tuple[str, object]] = {}

    @torch.inference_mode(mode=False)  # its tensors must stay writable outside of it
    @torch.no_grad()
    def put(
        self,
        slot: int,
        group: str,
        activation: Activation | None,
        effects: Mapping[str, Effect],
        head: HeadLayers,
        head_weights: Mapping[str, Tensor],
    ) -> None:
        """Copies an adapter into a slot. If it raises, the slot is empty."""
        if self._keys.get(slot, (group, head.key)) != (group, head.key):
            self.remove(slot)
        self._keys[slot] = (group, head.key)
        try:
            self._put_effects(slot, self._group(group, activation), effects)
            if head_weights:
                self.heads(head).put(slot, head_weights)
        except BaseException:
            # some of its tensors may have moved, or were added
            self._group(group, activation).version += 1
            self.remove(slot)
            raise
        if self._memory.is_full:
            self._shrink()

    def remove(self, slot: int) -> None:
        group, head = self._keys.pop(slot, ("", None))
        if group in self.groups:
            for weights in self.groups[group].sites.values():
                weights.remove(slot)
        if head in self._heads:
            self._heads[head].remove(slot)

    def heads(self, head: HeadLayers) -> SlotHeads:
        """The weights of all heads with the layers of this one."""
        if head.key not in self._heads:
            self._heads[head.key] = SlotHeads(head, self._memory)
        return self._heads[head.key]

    @property
    def num_bytes(self) -> int:
        """What all slots take on the device."""
        return self._memory.num_bytes

    def _shrink(self) -> None:
        for group in self.groups.values():
            for weights in group.sites.values():
                weights.shrink()
            group.version += 1
        used = {head for _, head in self._keys.values()}
        self._heads = {key: heads for key, heads in self._heads.items() if key in used}
        for heads in self._heads.values():
            heads.shrink()
        self._memory.settle()

    def _group(self, name: str, activation: Activation | None) -> SlotGroup:
        return self.groups.setdefault(name, SlotGroup(activation))

    def _put_effects(self, slot: int, group: SlotGroup, effects: Mapping[str, Effect]) -> None:
        for site, effect in effects.items():
            if site not in group.sites:
                group.sites[site] = SiteWeights(
                    effect.route,
                    self._memory,
                    dtype=self._dtype,
                    product_dtype=self._product_dtype,
                )
            if group.sites[site].put(slot, effect):
                group.version += 1
        for site in group.sites.keys() - effects.keys():
            group.sites[site].remove(slot)
