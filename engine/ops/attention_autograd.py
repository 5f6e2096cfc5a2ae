"""Attention of rows laid end to end, with its gradient, as one step of autograd.

On a CPU the fused operator's backward takes twice as long at short lengths as the products written
out; and those, row lengths apart, made PyTorch copy every stream once for each length and zero it
for each gradient. Products of so few tokens, and softmax over them, also take a processor longer in
bfloat16 than in float32, in which they are therefore computed there.

Shape letters: N rows of one run, H heads, T tokens of all rows, L tokens of one row, D width of a
head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor

_softmax_gradient = torch.ops.aten._softmax_backward_data
#: rows of one length that are neighbours: the length, and how many
Run = tuple[int, int]
#: from a length, what a token may look at, [L, L]; None where it may look everywhere
MaskOf = Callable[[int], Tensor | None]


def attention_autograd(
    query: Tensor, key: Tensor, value: Tensor, runs: Sequence[Run], scale: float, mask_of: MaskOf
) -> Tensor:
    """Each [1, H, T, D]; answers [1, T, H, D]."""
    return cast(Tensor, _AttentionFunction.apply(query, key, value, runs, scale, mask_of))  # type: ignore[no-untyped-call]


class _AttentionFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        runs: Sequence[Run],
        scale: float,
        mask_of: MaskOf,
    ) -> Tensor:
        streams = [x[0].transpose(0, 1) for x in (query, key, value)]
        out_THD = torch.empty(streams[0].shape, dtype=query.dtype, device=query.device)
        saved: list[Tensor] = []
        start = 0
        for length, count in runs:
            q, k, v = (_rows(x_THD, start, length, count) for x_THD in streams)
            scores_LL = (q @ k.transpose(2, 3)).mul_(scale)
            if (inside_LL := mask_of(length)) is not None:
                scores_LL.masked_fill_(~inside_LL, float("-inf"))
            seen_LL = scores_LL.softmax(-1)
            _put(out_THD, start, seen_LL @ v)
            saved += [q, k, v, seen_LL]
            start += length * count
        ctx.save_for_backward(*saved)
        ctx.runs, ctx.scale = runs, scale
        return out_THD[None]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        g_THD = gradients[0][0]
        input_gradients = [
            torch.empty_like(g_THD, memory_format=torch.contiguous_format) for _ in range(3)
        ]
        start = 0
        for number, (length, count) in enumerate(ctx.runs):
            q, k, v, seen_LL = ctx.saved_tensors[4 * number : 4 * number + 4]
            g = _rows(g_THD, start, length, count)
            g_seen_LL = g @ v.transpose(2, 3)
            g_scores_LL = _softmax_gradient(g_seen_LL, seen_LL, -1, seen_LL.dtype).mul_(ctx.scale)
            _put(input_gradients[0], start, g_scores_LL @ k)
            _put(input_gradients[1], start, g_scores_LL.transpose(2, 3) @ q)
            _put(input_gradients[2], start, seen_LL.transpose(2, 3) @ g)
            start += length * count
        return *(x_THD.transpose(0, 1)[None] for x_THD in input_gradients), None, None, None


def _rows(x_THD: Tensor, start: int, length: int, count: int) -> Tensor:
    """A run's tokens as [N, H, L, D]."""
    own_THD = x_THD[start : start + length * count]
    own = own_THD.reshape(count, length, *x_THD.shape[1:]).transpose(1, 2)
    dtype = torch.float32 if own.device.type == "cpu" else own.dtype
    return torch.empty(own.shape, dtype=dtype, device=own.device).copy_(own)


def _put(out_THD: Tensor, start: int, own: Tensor) -> None:
    """[N, H, L, D] to its place in the stream."""
    count, heads, length, width = own.shape
    place = out_THD[start : start + length * count].view(count, length, heads, width)
    place.copy_(own.transpose(1, 2))
