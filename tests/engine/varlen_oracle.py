"""What `torch.nn.attention.varlen.varlen_attn` computes, row by row on any device."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface

from engine.ops.packed_attention import PACKED, PackedAttention
from engine.ops.varlen_attention import VarlenAttention


class LoopedVarlen:
    """The kernel's signature and meaning; counts its calls."""

    def __init__(self) -> None:
        self.num_calls = 0

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
    ) -> Tensor:
        self.num_calls += 1
        starts = cu_seq_q.tolist()
        assert cu_seq_q.dtype == torch.int32
        assert starts == cu_seq_k.tolist()
        lengths = [stop - start for start, stop in pairwise(starts)]
        assert max(lengths) <= max_q == max_k
        assert enable_gqa == (query.shape[1] > key.shape[1])
        rows = [
            _row(*(x[start:stop] for x in (query, key, value)), scale, window_size)
            for start, stop in pairwise(starts)
            if stop > start
        ]
        behind = query.new_zeros(len(query) - starts[-1], *query.shape[1:])
        return torch.cat([*rows, behind])


def _row(
    query: Tensor, key: Tensor, value: Tensor, scale: float | None, window: tuple[int, int]
) -> Tensor:
    """One row, [L, H, D]."""
    groups = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
    scores = torch.einsum("qhd,khd->hqk", query, key) * (scale or query.shape[-1] ** -0.5)
    place = torch.arange(len(query), device=query.device)
    behind = place[:, None] - place
    left, right = (len(query) if side < 0 else side for side in window)
    scores = scores.masked_fill((behind > left) | (-behind > right), float("-inf"))
    return torch.einsum("hqk,khd->qhd", scores.softmax(-1), value)


def attend_looped(monkeypatch: Any) -> LoopedVarlen:
    """From now on packed rows of every base that was loaded attend by it."""
    kernel = LoopedVarlen()
    attention = PackedAttention(VarlenAttention(kernel, takes=lambda query: True))
    monkeypatch.setitem(AttentionInterface._global_mapping, PACKED, attention)
    return kernel
