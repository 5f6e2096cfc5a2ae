"""Which boundaries of the base an adapter's product reads and changes.

A route turns a stretch of slots into what the hooks do, by module path. Knows no kind and no slot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from engine.sites.hooks import Action, Dropout, TrainedLinear


class Stretched(Protocol):
    """What a route needs of a stretch."""

    @property
    def changes_input(self) -> bool: ...

    @property
    def changes_output(self) -> bool: ...

    def of(self, stream: Tensor) -> Tensor: ...

    def scale_input(self, stream_TI: Tensor) -> Tensor: ...

    @property
    def autograd(self) -> TrainedLinear | None:
        """What takes the place of the linear while it learns, where that can be one step."""
        ...

    def add(self, out_TO: Tensor, x_TI: Tensor, dropout: Dropout | None) -> None: ...


#: from a site and a stretch there, what happens at which modules
Route = Callable[[str, Stretched], dict[str, Action]]


def at_site(site: str, stretch: Stretched) -> dict[str, Action]:
    """Reads the site's input, changes its output (and its input, where the effect says so)."""

    def before(given: Tensor, dropout: Dropout | None) -> Tensor:
        del dropout
        return stretch.scale_input(given)

    def after(given: Tensor, out: Tensor, dropout: Dropout | None) -> None:
        stretch.add(stretch.of(out), stretch.of(given), dropout)

    return {
        site: Action(
            before=before if stretch.changes_input else None,
            after=after if stretch.changes_output else None,
            autograd=stretch.autograd,
        )
    }


def of_output(site: str, stretch: Stretched) -> dict[str, Action]:
    """Reads and changes the site's output."""

    def after(given: Tensor, out: Tensor, dropout: Dropout | None) -> None:
        del given
        own = stretch.of(out)
        # autograd needs what was read, and the addition is in place
        stretch.add(own, own.clone() if torch.is_grad_enabled() else own, dropout)

    return {site: Action(after=after)}


def around_norm(norm: str, normed: Callable[[Tensor], Tensor]) -> Route:
    """Reads what the branch's norm makes of branch and residual, and changes what it gets."""

    def route(site: str, stretch: Stretched) -> dict[str, Action]:
        del site

        def before(given: Tensor, dropout: Dropout | None) -> Tensor:
            changed = given.clone()
            stretch.add(stretch.of(changed), normed(stretch.of(given)), dropout)
            return changed

        return {norm: Action(before=before)}

    return route


def spanning(start: str) -> Route:
    """Reads what the module `start` gets, changes the site's output."""
    return _from_start(start, plus_output=False)


def with_residual(start: str) -> Route:
    """Reads the sum of the site's output and what the module `start` gets, changes the output."""
    return _from_start(start, plus_output=True)


def _from_start(start: str, *, plus_output: bool) -> Route:
    def route(site: str, stretch: Stretched) -> dict[str, Action]:
        kept: list[Tensor] = []

        def before(given: Tensor, dropout: Dropout | None) -> None:
            del dropout
            kept.append(stretch.of(given))

        def after(given: Tensor, out: Tensor, dropout: Dropout | None) -> None:
            del given
            own = stretch.of(out)
            stretch.add(own, kept.pop() + own if plus_output else kept.pop(), dropout)

        return {start: Action(before=before), site: Action(after=after)}

    return route
