"""Ends a base's last layer with the tokens that are read: the others are needed as keys and values
of its attention, and no further. Knows modules; no row, no slot and no head.

Shape letters: T tokens of all rows, K tokens that are kept, D hidden width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from engine.families import Family


class KeptTokens:
    """The last layer, whose modules `whole` get every token: the first of them what the layer got.
    `end` is the linear on what its attention gave, `after` what follows the layers.

    The layer itself gets the kept tokens alone, so that its residual is theirs.
    """

    def __init__(
        self, model: nn.Module, layer: str, whole: Sequence[str], end: str, after: Sequence[str]
    ) -> None:
        self._layer, self._end, self._after = f"{layer}.", end, frozenset(after)
        self._whole = tuple(f"{layer}.{name}." for name in whole)
        self._index_K: Tensor | None = None
        self._hidden: Tensor | None = None
        module = model.get_submodule(layer)
        module.forward = self._wrap(module.forward)
        # hooks: what acts at these modules wraps their `forward` later, and sees what they get
        model.get_submodule(f"{layer}.{whole[0]}").register_forward_pre_hook(self._widen)
        model.get_submodule(end).register_forward_pre_hook(self._narrow)

    def covers(self, path: str) -> bool:
        """Whether a module gets kept tokens only, while that lasts."""
        if path == self._end or path in self._after:
            return True
        return path.startswith(self._layer) and not f"{path}.".startswith(self._whole)

    @contextmanager
    def only(self, index_K: Tensor) -> Iterator[None]:
        """While this lasts a forward of a packed batch ends with hidden states [1, K, D]."""
        self._index_K = index_K
        try:
            yield
        finally:
            self._index_K = self._hidden = None

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """While this lasts another forward may run within the one that is running."""
        own = self._index_K, self._hidden
        self._index_K = self._hidden = None
        try:
            yield
        finally:
            self._index_K, self._hidden = own

    def _wrap(self, stock: Any) -> Any:
        def forward(hidden: Tensor, *args: Any, **kwargs: Any) -> Any:
            if self._index_K is not None:
                self._hidden, hidden = hidden, hidden.index_select(1, self._index_K)
            return stock(hidden, *args, **kwargs)

        return forward

    def _widen(self, _: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if self._index_K is None:
            return None
        hidden, self._hidden = self._hidden, None
        return hidden, *args[1:]

    def _narrow(self, _: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if self._index_K is None:
            return None
        return args[0].index_select(1, self._index_K), *args[1:]


def make_kept_tokens(model: nn.Module, family: Family, last: str) -> KeptTokens | None:
    """Of a base whose last layer has that path; None where its stock code needs all tokens."""
    if not family.attention_reads:
        return None
    end = family.sublayers["attention"].output.format(layer=last)
    after = () if family.final_norm is None else (family.final_norm,)
    return KeptTokens(model, last, family.attention_reads, end, after)
