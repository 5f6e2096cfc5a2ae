"""Attention biases that stock code computes once for all rows, computed once per slot instead.

DeBERTa's keys and queries of relative positions come from linears that adapters act on, so they are
the slot's own. The stock method is called for each slot's rows with that slot's adapter alone.

Shape letters: R rows, H heads, L longest row, D width of a head, P relative positions, I width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from engine.sites.hooks import Action, Sites

#: the plan of slots whose adapters are elsewhere, so that their rows are one call
_NOTHING: Mapping[str, Sequence[Action]] = MappingProxyType({})
#: slot and number of positions -> what acts on them
PlanSlot = Callable[[int, int], Mapping[str, Sequence[Action]]]


class RelativeBiases:
    """The bias methods of one base's attention modules; none for nearly every family."""

    def __init__(self, modules: Mapping[str, nn.Module], method: str) -> None:
        self._prefixes = tuple(f"{path}." for path in modules)
        self._sites: Sites | None = None
        self._slots: Sequence[int] = ()
        self._plan_slot: PlanSlot | None = None
        self._plans: dict[int, Mapping[str, Sequence[Action]]] = {}
        for module in modules.values():
            setattr(module, method, self._per_slot(getattr(module, method)))

    def covers(self, path: str) -> bool:
        """Whether a site is one of the linears that the biases may come from."""
        return path.startswith(self._prefixes)

    @contextmanager
    def acting(self, sites: Sites, slots: Sequence[int], plan_slot: PlanSlot) -> Iterator[None]:
        """While this lasts, row by row of a forward has one of `slots`."""
        self._sites, self._slots, self._plan_slot = sites, slots, plan_slot
        try:
            yield
        finally:
            self._sites, self._slots, self._plan_slot, self._plans = None, (), None, {}

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """While this lasts another forward may run within the one that is running."""
        own = self._sites, self._slots, self._plan_slot, self._plans
        self._sites, self._slots, self._plan_slot, self._plans = None, (), None, {}
        try:
            yield
        finally:
            self._sites, self._slots, self._plan_slot, self._plans = own

    def _per_slot(self, stock: Callable[..., Any]) -> Callable[..., Any]:
        def bias(
            query: Tensor, key: Tensor, relative: Tensor, positions_PI: Tensor, *rest: Any
        ) -> Any:
            """Query and key [R·H, L, D]."""
            if self._sites is None:
                return stock(query, key, relative, positions_PI, *rest)
            plans = [self._plan(slot, positions_PI.shape[0]) for slot in self._slots]
            parts, heads, start = [], query.shape[0] // len(plans), 0
            for _, rows in groupby(plans, key=id):
                actions, *others = rows
                stop = start + heads * (1 + len(others))
                with self._sites.instead(actions):
                    own = (query[start:stop], key[start:stop], relative, positions_PI)
                    parts.append(stock(*own, *rest))
                start = stop
            return torch.cat(parts)

        return bias

    def _plan(self, slot: int, num_positions: int) -> Mapping[str, Sequence[Action]]:
        """One for all layers of a forward."""
        assert self._plan_slot is not None, "a plan is asked for while nothing acts"
        if slot not in self._plans:
            self._plans[slot] = self._plan_slot(slot, num_positions) or _NOTHING
        return self._plans[slot]
