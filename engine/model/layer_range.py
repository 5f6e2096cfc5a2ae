"""Runs some of a stock model's layers through the model's own forward.

Each layer's bound `forward` is wrapped once, so that embeddings, masks, rotary angles and final
norms stay the stock model's. Knows no slot and no adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


class LayerRange:
    """The layers of one model. Outside `only` they run as they always do."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self.num_layers = len(layers)
        self._start, self._stop = 0, self.num_layers
        self._hidden: Tensor | None = None
        self._entered: Tensor | None = None
        #: what a layer answers beside the hidden states is None in a skipped one; known from the
        #: first layer that ran
        self._num_others: int | None = None
        for index, layer in enumerate(layers):
            layer.forward = self._wrap(index, layer.forward)

    @contextmanager
    def only(self, start: int, stop: int, hidden: Tensor | None) -> Iterator[Callable[[], Tensor]]:
        """While this lasts a forward runs layers start..stop-1: `hidden` enters layer `start`.

        Yields what tells, after a forward, which hidden states came to layer `stop`.
        """
        assert self._hidden is None, "a range is already running"
        self._start, self._stop, self._hidden = start, stop, hidden
        try:
            yield self._hidden_at_stop
        finally:
            self._start, self._stop = 0, self.num_layers
            self._hidden = self._entered = None

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """While this lasts another forward may run within the one that is running."""
        own = self._start, self._stop, self._hidden, self._entered
        self._start, self._stop = 0, self.num_layers
        self._hidden = self._entered = None
        try:
            yield
        finally:
            self._start, self._stop, self._hidden, self._entered = own

    def _hidden_at_stop(self) -> Tensor:
        assert self._entered is not None, "no forward came to the layer where the range stops"
        return self._entered

    def _wrap(self, index: int, stock: Callable[..., Any]) -> Callable[..., Any]:
        def forward(hidden: Tensor, *args: Any, **kwargs: Any) -> Any:
            if index == self._stop:
                self._entered = hidden
            if not self._start <= index < self._stop:
                return self._skip(hidden)
            if index == self._start and self._hidden is not None:
                hidden = self._hidden
            out = stock(hidden, *args, **kwargs)
            self._num_others = len(out) - 1 if isinstance(out, tuple) else None
            return out

        return forward

    def _skip(self, hidden: Tensor) -> Any:
        return hidden if self._num_others is None else (hidden, *[None] * self._num_others)
