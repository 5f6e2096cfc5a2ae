"""Attention of rows of any lengths in one launch, by PyTorch's variable-length flash attention.

Says which tensors it can be given. It has a gradient of its own. A row's answer does not depend on
its neighbours: over keys that lie end to end the kernel does not split a row's keys among blocks.

Shape letters: T tokens of all rows, H heads (K of keys and values), D width of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, cast

import torch
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn

from engine.ops.row_lengths import RowLengths

#: the oldest architecture (Ampere) and the widest head that the kernel was written for
_CAPABILITY = (8, 0)
_MAX_WIDTH = 256


class VarlenKernel(Protocol):
    """The part of `torch.nn.attention.varlen.varlen_attn` that is used here."""

    def __call__(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        cu_seq_q: Tensor,
        cu_seq_k: Tensor,
        max_q: int,
        max_k: int,
        *,
        scale: float | None,
        window_size: tuple[int, int],
        enable_gqa: bool,
    ) -> Any: ...


def is_supported(query: Tensor) -> bool:
    """Whether the kernel takes such a query: on a CUDA device, in 16 bits, of a usual width."""
    return (
        query.is_cuda
        and query.dtype in (torch.bfloat16, torch.float16)
        and query.shape[-1] % 8 == 0
        and query.shape[-1] <= _MAX_WIDTH
        and torch.cuda.get_device_capability(query.device) >= _CAPABILITY
    )


class VarlenAttention:
    """`attend` for what it `takes`; a test gives a kernel of its own that runs on a processor."""

    def __init__(
        self,
        kernel: VarlenKernel = varlen_attn,
        takes: Callable[[Tensor], bool] = is_supported,
    ) -> None:
        self._kernel = kernel
        self.takes = takes

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        rows: RowLengths,
        scale: float | None,
        window_size: tuple[int, int],
    ) -> Tensor:
        """Query [1, H, T, D], key and value [1, K, T, D]; answers [1, T, H, D].

        A token sees so many others to its left and right, all where the number is -1.
        """
        q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
        out_THD = self._kernel(
            q, k, v, rows.cu_seqlens, rows.cu_seqlens, rows.longest, rows.longest,
            scale=scale, window_size=window_size, enable_gqa=q.shape[1] > k.shape[1],
        )  # fmt: skip
        return cast(Tensor, out_THD[None])
