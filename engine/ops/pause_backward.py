"""The identity, at which a backward pauses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor


def pause_backward(x: Tensor, pause: Callable[[], None]) -> Tensor:
    """The same values; the backward calls `pause` once the gradient of `x` is known."""
    return cast(Tensor, _Pause.apply(x, pause))  # type: ignore[no-untyped-call]


class _Pause(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, pause: Callable[[], None]) -> Tensor:
        ctx.pause = pause
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        ctx.pause()
        return gradients[0], None
