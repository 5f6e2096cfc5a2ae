"""The base's linears for a few tokens at once, as rows that write bring them: a second copy of the
weights, packed as the processor's own library reads them fastest.

Each linear's bound `forward` is wrapped, so that modules and parameters stay the stock model's;
what acts at a linear wraps it after this. Knows no row and no adapter.

Shape letters: T tokens, I input width, O output width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

#: A product of packed weights is always of so many tokens, the rest of them empty: the library
#: packs for one number.
_TOKENS = 16
#: below, the plain product is as fast as one of so many tokens
_FEWEST = 6


class PrepackedLinears:
    """Packed copies of linears, made when they are first used. Outside `of` they are not used."""

    def __init__(self, linears: Sequence[nn.Linear], budget: int) -> None:
        """What all copies together may take; where they would take more there are none."""
        size = sum(linear.weight.numel() * linear.weight.itemsize for linear in linears)
        self.able = size <= budget and all(_packs(linear.weight) for linear in linears)
        self._active = False
        for linear in linears if self.able else ():
            linear.forward = self._wrap(linear, linear.forward)  # type: ignore[assignment, method-assign]

    @contextmanager
    def of(self, num_tokens: int) -> Iterator[None]:
        """While this lasts every linear is given so many tokens."""
        self._active = _FEWEST <= num_tokens <= _TOKENS
        try:
            yield
        finally:
            self._active = False

    def _wrap(
        self, linear: nn.Linear, stock: Callable[[Tensor], Tensor]
    ) -> Callable[[Tensor], Tensor]:
        packed: Any = None

        def forward(x: Tensor) -> Tensor:
            nonlocal packed
            if not self._active:
                return stock(x)
            if packed is None:
                packed = torch.ops.mkl._mkl_reorder_linear_weight(linear.weight, _TOKENS)
            return _product(linear, packed, x)

        return forward


def _packs(weight: Tensor) -> bool:
    by_mkl: bool = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    return by_mkl and weight.device.type == "cpu" and weight.dtype == torch.float32


def _product(linear: nn.Linear, packed: Any, x: Tensor) -> Tensor:
    count = x.numel() // linear.in_features
    if count == _TOKENS:
        return _multiply(linear, packed, x)
    x_TI = pad(x.view(count, -1), (0, 0, 0, _TOKENS - count))
    return _multiply(linear, packed, x_TI)[:count].view(*x.shape[:-1], -1)


def _multiply(linear: nn.Linear, packed: Any, x: Tensor) -> Tensor:
    out: Tensor = torch.ops.mkl._mkl_linear(x, packed, linear.weight, linear.bias, _TOKENS)
    return out
