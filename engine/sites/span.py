"""What acts at a site over some tokens of a stream, as routes see it."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from engine.sites.hooks import Dropout, TrainedLinear


class Span(Protocol):
    """Neighbouring tokens of a flattened stream, and what their adapters do to them at one site."""

    @property
    def changes_input(self) -> bool: ...

    @property
    def changes_output(self) -> bool: ...

    @property
    def autograd(self) -> TrainedLinear | None:
        """What replaces a linear while gradients are computed, where one step of autograd can."""
        ...

    def of(self, stream: Tensor) -> Tensor:
        """The span's tokens of a flattened stream: a view."""
        ...

    def scale_input(self, stream_TI: Tensor) -> Tensor:
        """A new stream: what a module reads is read by others too."""
        ...

    def add(self, out_TO: Tensor, x_TI: Tensor, dropout: Dropout | None) -> None:
        """Changes the span's own tokens `out_TO` in place; `x_TI` is what products read."""
        ...
