"""Attention over blocks of keys and values where they lie, as one Triton kernel.

Nothing is gathered: a program takes one token and one head of keys and walks over that token's own
blocks with a running softmax (Milakov and Gimelshein 2018, arXiv 1805.02867), as paged attention
does (Kwon et al. 2023, arXiv 2309.06180). Imports Triton, so only whoever has a device, or Triton's
interpreter, may import it.

Shape letters: T tokens, H heads (K of keys and values, G of queries to each of those), R rows, B
blocks of a row, N tokens of a block, D width of a head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

#: `tl.dot` takes no smaller side
_LEAST_SIDE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionMetadata:
    """Where each token looks: the table of its row, and how many of the row's tokens it may see.

    Integers on the device: `tables_RB` blocks in order, `rows_T` and `lengths_T` one per token.
    """

    tables_RB: Tensor
    rows_T: Tensor
    lengths_T: Tensor


def paged_attention(
    query_THD: Tensor,
    keys: Tensor,
    values: Tensor,
    metadata: AttentionMetadata,
    *,
    scale: float,
    window: int | None,
) -> Tensor:
    """[T, H, D] of queries over `keys` and `values`, [blocks, N, K, D] each.

    A token sees the last `window` of its row's first `lengths_T` tokens, or all of them. A length
    is at least 1.
    """
    tokens, heads, width = query_THD.shape
    block_tokens, kv_heads = keys.shape[1:3]
    groups = heads // kv_heads
    out_THD = torch.empty((tokens, heads, width), dtype=query_THD.dtype, device=query_THD.device)
    _attend[(tokens, kv_heads)](
        query_THD, keys, values, out_THD, metadata.tables_RB, metadata.rows_T, metadata.lengths_T,
        scale, *query_THD.stride()[:2], *keys.stride()[:3], *out_THD.stride()[:2],
        metadata.tables_RB.stride(0),
        WINDOW=window or 0, GROUPS=groups, GROUP_SIDE=_side(groups), N=block_tokens,
        WIDTH=width, WIDTH_SIDE=_side(width),
    )  # fmt: skip
    return out_THD


def _side(size: int) -> int:
    return max(_LEAST_SIDE, int(triton.next_power_of_2(size)))


@triton.jit  # type: ignore[untyped-decorator]
def _attend(
    query: Any, keys: Any, values: Any, out: Any, tables: Any, rows: Any, lengths: Any,
    scale: Any, query_token: Any, query_head: Any, block_step: Any, place_step: Any,
    head_step: Any, out_token: Any, out_head: Any, table_step: Any,
    WINDOW: tl.constexpr, GROUPS: tl.constexpr, GROUP_SIDE: tl.constexpr, N: tl.constexpr,
    WIDTH: tl.constexpr, WIDTH_SIDE: tl.constexpr,
) -> None:  # fmt: skip
    """One token's queries to one head of keys. Offsets into the pool are 64 bits wide."""
    token, head = tl.program_id(0), tl.program_id(1)
    length = tl.load(lengths + token)
    table = tables + tl.load(rows + token) * table_step
    group_G, width_D, place_N = tl.arange(0, GROUP_SIDE), tl.arange(0, WIDTH_SIDE), tl.arange(0, N)
    head_G = head * GROUPS + group_G[:, None]
    query_mask = (group_G[:, None] < GROUPS) & (width_D[None, :] < WIDTH)
    at_GD = query + token * query_token + head_G * query_head + width_D[None, :]
    query_GD = tl.load(at_GD, mask=query_mask, other=0.0)
    first = 0
    if WINDOW > 0:
        first = tl.maximum(length - WINDOW, 0)
    most_G = tl.full((GROUP_SIDE,), float("-inf"), tl.float32)
    sum_G = tl.zeros((GROUP_SIDE,), tl.float32)
    out_GD = tl.zeros((GROUP_SIDE, WIDTH_SIDE), tl.float32)
    for number in range(first // N, tl.cdiv(length, N)):
        block = tl.load(table + number).to(tl.int64)
        seen_N = (number * N + place_N < length) & (number * N + place_N >= first)
        at_ND = block * block_step + place_N[:, None] * place_step + head * head_step
        at_ND += width_D[None, :]
        key_mask = seen_N[:, None] & (width_D[None, :] < WIDTH)
        key_ND = tl.load(keys + at_ND, mask=key_mask, other=0.0)
        value_ND = tl.load(values + at_ND, mask=key_mask, other=0.0)
        score_GN = tl.dot(query_GD, tl.trans(key_ND), input_precision="ieee") * scale
        score_GN = tl.where(seen_N[None, :], score_GN, float("-inf"))
        now_G = tl.maximum(most_G, tl.max(score_GN, 1))
        share_GN = tl.exp(score_GN - now_G[:, None])
        kept_G = tl.exp(most_G - now_G)
        sum_G = sum_G * kept_G + tl.sum(share_GN, 1)
        more_GD = tl.dot(share_GN.to(value_ND.dtype), value_ND, input_precision="ieee")
        out_GD = out_GD * kept_G[:, None] + more_GD
        most_G = now_G
    at_GD = out + token * out_token + head_G * out_head + width_D[None, :]
    tl.store(at_GD, (out_GD / sum_G[:, None]).to(out.dtype.element_ty), mask=query_mask)
