"""An adapter as it is loaded: what it does at each site, computed once in the base's precision and
held in host memory, so that placing it is only a copy.

Knows no digest and no slot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from engine.adapters.adapter import Adapter, adapter_of, translate_read_errors
from engine.adapters.directory import read_files
from engine.adapters.head_layers import HeadWeights
from engine.errors import NonFiniteWeights
from engine.model.base import Base
from engine.ops.grouped_product import Activation
from engine.port import File
from engine.sites.effect import Effect, LowRank

_HOST = torch.device("cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedAdapter:
    """Nothing of it lies on a device, and none of its tensors ever changes."""

    group: str
    activation: Activation | None
    effects: Mapping[str, Effect]
    head: dict[str, Any]
    head_weights: HeadWeights
    #: the lowest layer that it changes
    first_layer: int
    #: what it takes in host memory, and in a slot
    num_bytes: int

    @property
    def host_bytes(self) -> int:
        return self.num_bytes


def load_adapter(files: list[File], base: Base, semantics: Mapping[str, Any]) -> LoadedAdapter:
    """A version's files as an adapter that is ready to be placed. The head that its manifest names
    completes or overrides what they say.

    Raises BadAdapter or a subclass. Every byte is hashed as it is read: what is checked is what is
    served.
    """
    with translate_read_errors():
        return convert(adapter_of(read_files(files, base.family), base, semantics["head"]), base)


@torch.no_grad()
def convert(adapter: Adapter, base: Base) -> LoadedAdapter:
    """Raises NonFiniteWeights, of the stored weights or of the scaled ones in the base's precision.

    It is computed where the base is: a training places its masters there, and both must give the
    same bits.
    """
    _check_stored(adapter.tensors)
    computed = adapter.effects(base)
    effects = {site: move_effect(effect, _HOST) for site, effect in computed.items()}
    _check_scaled(effects, base)
    tensors = [tensor for effect in effects.values() for tensor in effect.tensors]
    return LoadedAdapter(
        group=adapter.group,
        activation=adapter.activation,
        effects=effects,
        head=adapter.head,
        head_weights=adapter.head_weights,
        first_layer=base.first_layer(effects),
        num_bytes=sum(t.nbytes for t in (*tensors, *adapter.head_weights.values())),
    )


def move_effect(effect: Effect, device: torch.device) -> Effect:
    """The same effect on a device; itself where it is there already."""
    if all(tensor.device == device for tensor in effect.tensors):
        return effect
    product = effect.product
    return replace(
        effect,
        shift_O=_move(effect.shift_O, device),
        gain_O=_move(effect.gain_O, device),
        input_gain_I=_move(effect.input_gain_I, device),
        product=None if product is None else _move_product(product, device),
    )


def _move_product(product: LowRank, device: torch.device) -> LowRank:
    return LowRank(
        down_KI=product.down_KI.to(device),
        up_KO=product.up_KO.to(device),
        down_bias_K=_move(product.down_bias_K, device),
    )


def _move(tensor: Tensor | None, device: torch.device) -> Tensor | None:
    return None if tensor is None else tensor.to(device)


def _check_stored(tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if not _is_finite(tensor):
            raise NonFiniteWeights(f"{name} holds NaN or infinite values")


def _check_scaled(effects: Mapping[str, Effect], base: Base) -> None:
    for site, effect in effects.items():
        if not all(_is_finite(tensor) for tensor in effect.tensors):
            raise NonFiniteWeights(f"{site} overflows {base.numerics.name} once it is scaled")


def _is_finite(tensor: Tensor) -> bool:
    """A sum is several times faster than a look at each value; it may be infinite by itself."""
    return math.isfinite(tensor.sum().item()) or bool(torch.isfinite(tensor).all())
