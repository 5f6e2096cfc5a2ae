"""Attention per row over a packed stream, registered with transformers for stock model code.

The row lengths travel as a keyword argument through the model's own forward, so nothing here is
global state and no mask is ever built: rows cannot see each other because they are never multiplied
together.

Shape letters: H heads, T tokens of all rows, L tokens of one row, D width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

PACKED = "adapterd_packed"


def register_packed_attention() -> None:
    """Make `attn_implementation=PACKED` known. Registering again changes nothing."""
    AttentionInterface.register(PACKED, packed_attention)


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    row_lengths: Sequence[int],
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Query, key and value [1, H, T, D] of rows laid end to end; answers [1, T, H, D].

    Neighbouring rows of equal length go through one call, each in its own place of the batch.
    """
    del module, attention_mask
    attend = _plain if query.requires_grad else nn.functional.scaled_dot_product_attention
    runs = [(length, len(list(rows))) for length, rows in groupby(row_lengths)]
    sizes = [length * count for length, count in runs]
    streams = (torch.split(x[0].transpose(0, 1), sizes) for x in (query, key, value))
    parts = []
    for (length, count), *run in zip(runs, *streams, strict=True):
        q, k, v = (x.reshape(count, length, *x.shape[1:]).transpose(1, 2) for x in run)
        parts.append(attend(q, k, v, scale=scaling).transpose(1, 2).flatten(0, 1))
    return torch.cat(parts)[None], None


def _plain(query: Tensor, key: Tensor, value: Tensor, scale: float | None = None) -> Tensor:
    """Written out for training.

    On a CPU the fused operator's backward takes twice this one's at short lengths.
    """
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    weights_HLL = ((query * scale) @ key.transpose(2, 3)).softmax(-1)
    return weights_HLL @ value
