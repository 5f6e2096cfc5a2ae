"""Several adapters acting together in one slot, each with a weight: no merged artefact, only a sum
of what each adds. Low-rank products are laid side by side along rank, so a composition is as fast
as one adapter of that rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.adapters.head_layers import HeadWeights
from engine.adapters.loaded_adapter import LoadedAdapter
from engine.errors import CannotCompose
from engine.sites.effect import Effect, LowRank
from engine.sites.routes import at_site

_Weighted = Sequence[tuple[Effect, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """The head of one loaded adapter over the weighted sum of several."""

    #: whose head answers
    first: LoadedAdapter
    parts: tuple[tuple[LoadedAdapter, float], ...]
    #: of all that it is made of: it goes when one of them goes
    digests: frozenset[str]

    #: everything it holds is held for its parts already
    host_bytes = 0
    activation = None

    @property
    def group(self) -> str:
        return "lora"

    @property
    def head(self) -> dict[str, Any]:
        return self.first.head

    @property
    def head_weights(self) -> HeadWeights:
        return self.first.head_weights

    @property
    def num_bytes(self) -> int:
        """What a slot of it costs."""
        return sum(adapter.num_bytes for adapter, _ in self.parts)

    @property
    def first_layer(self) -> int:
        return min(adapter.first_layer for adapter, _ in self.parts)

    def effects(self) -> dict[str, Effect]:
        weighted: dict[str, list[tuple[Effect, float]]] = {}
        for adapter, weight in self.parts:
            for site, effect in adapter.effects.items():
                _check(adapter, effect)
                weighted.setdefault(site, []).append((effect, weight))
        return {site: _sum(effects) for site, effects in weighted.items()}


def _check(adapter: LoadedAdapter, effect: Effect) -> None:
    """Only what is added to an output can be summed."""
    plain = effect.route is at_site and adapter.activation is None
    if not plain or effect.gain_O is not None or effect.input_gain_I is not None:
        raise CannotCompose(
            f"an adapter of the kind {adapter.group} does not compose; lora without DoRA and bias "
            "do, because what they add can be summed"
        )


def _sum(effects: _Weighted) -> Effect:
    products = [(e.product, weight) for e, weight in effects if e.product is not None]
    shifts = [e.shift_O * weight for e, weight in effects if e.shift_O is not None]
    return Effect(
        product=_side_by_side(products) if products else None,
        shift_O=_total(shifts) if shifts else None,
    )


def _side_by_side(products: Sequence[tuple[LowRank, float]]) -> LowRank:
    return LowRank(
        down_KI=torch.cat([product.down_KI for product, _ in products]),
        up_KO=torch.cat([product.up_KO * weight for product, weight in products]),
    )


def _total(shifts: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(shifts)).sum(0)
