"""Which module boundaries an adapter's product reads from and adds to.

A route turns the effects on a span of tokens into actions of the hooks, by module path. Knows no
kind and no slot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.sites.hooks import Action, Dropout

if TYPE_CHECKING:
    from engine.sites.span import Span


#: from a site and the effects on a span of tokens there, the actions by module path
Route = Callable[[str, "Span"], dict[str, Action]]


def at_site(site: str, span: Span) -> dict[str, Action]:
    """Reads the site's input, changes its output (and its input, where the effect says so)."""

    def before(x: Tensor, dropout: Dropout | None) -> Tensor:
        del dropout
        return span.scale_input(x)

    def after(x: Tensor, out: Tensor, dropout: Dropout | None) -> None:
        span.add(span.of(out), span.of(x), dropout)

    return {
        site: Action(
            before=before if span.changes_input else None,
            after=after if span.changes_output else None,
            autograd=span.autograd,
        )
    }


def of_output(site: str, span: Span) -> dict[str, Action]:
    """Reads and changes the site's output."""

    def after(x: Tensor, out: Tensor, dropout: Dropout | None) -> None:
        del x
        own = span.of(out)
        # autograd needs what was read, and the addition is in place
        span.add(own, own.clone() if torch.is_grad_enabled() else own, dropout)

    return {site: Action(after=after)}


def around_norm(norm: str, apply_norm: Callable[[Tensor], Tensor]) -> Route:
    """Reads what the branch's norm makes of branch and residual, and changes what it gets."""

    def route(site: str, span: Span) -> dict[str, Action]:
        del site

        def before(x: Tensor, dropout: Dropout | None) -> Tensor:
            changed = x.clone()
            span.add(span.of(changed), apply_norm(span.of(x)), dropout)
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
    def route(site: str, span: Span) -> dict[str, Action]:
        kept: list[Tensor] = []

        def before(x: Tensor, dropout: Dropout | None) -> None:
            del dropout
            kept.append(span.of(x))

        def after(x: Tensor, out: Tensor, dropout: Dropout | None) -> None:
            del x
            own = span.of(out)
            span.add(own, kept.pop() + own if plus_output else kept.pop(), dropout)

        return {start: Action(before=before), site: Action(after=after)}

    return route
