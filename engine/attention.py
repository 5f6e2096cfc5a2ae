"""Attention per row over a packed stream, registered with transformers for stock model code.

The row lengths travel as a keyword argument through the model's own forward, so nothing here is
global state: rows cannot see each other because they are never multiplied together. Stock code
builds no mask for an implementation that is unknown to `AttentionMaskInterface`, as this one is;
causality and windows come from what the attention module says of itself.

Shape letters: N rows of one run, H heads (K of keys and values), T tokens of all rows, L tokens of
one row, S tokens a row attends to, D width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

PACKED = "adapterd_packed"


class RowCache(Protocol):
    """What one row attended to in earlier forwards."""

    @property
    def length(self) -> int: ...

    def extend(self, layer: int, key_LKD: Tensor, value_LKD: Tensor) -> tuple[Tensor, Tensor]:
        """Keep a layer's new keys and values; answers all of them, [S, K, D]."""
        ...


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
    row_caches: Sequence[RowCache] | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    is_causal: bool | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Query [1, H, T, D], key and value [1, K, T, D] of rows laid end to end; answers [1, T, H, D].

    Neighbouring rows of equal length go through one call, each in its own place of the batch.
    """
    del attention_mask
    causal = bool(getattr(module, "is_causal", False) if is_causal is None else is_causal)
    view = View(causal=causal, window=sliding_window, scaling=scaling)
    if row_caches is not None:
        layer = int(module.layer_idx)  # type: ignore[arg-type]
        return _cached(view, layer, (query, key, value), row_lengths, row_caches), None
    runs = [(length, len(list(rows))) for length, rows in groupby(row_lengths)]
    streams = _split((query, key, value), [length * count for length, count in runs])
    parts = []
    for (length, count), *run in zip(runs, *streams, strict=True):
        q, k, v = (x.reshape(count, length, *x.shape[1:]).transpose(1, 2) for x in run)
        parts.append(view.attend(q, k, v).transpose(1, 2).flatten(0, 1))
    return torch.cat(parts)[None], None


def _cached(
    view: View,
    layer: int,
    streams: tuple[Tensor, Tensor, Tensor],
    row_lengths: Sequence[int],
    row_caches: Sequence[RowCache],
) -> Tensor:
    """Each row's new tokens over all of its own, old and new."""
    parts = []
    for q, k, v, cache in zip(*_split(streams, row_lengths), row_caches, strict=True):
        keys_SKD, values_SKD = cache.extend(layer, k, v)
        q, k, v = (x.transpose(0, 1)[None] for x in (q, keys_SKD, values_SKD))
        parts.append(view.attend(q, k, v)[0].transpose(0, 1))
    return torch.cat(parts)[None]


def _split(streams: Sequence[Tensor], sizes: Sequence[int]) -> list[tuple[Tensor, ...]]:
    return [torch.split(x[0].transpose(0, 1), list(sizes)) for x in streams]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Which of a row's tokens each of them sees, and how their scores are scaled."""

    causal: bool
    #: a token sees others at distances below it; None: all
    window: int | None
    scaling: float | None

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Query [N, H, L, D] are the last L of the S tokens of key and value [N, K, S, D]."""
        if self.causal and self.window is not None and query.shape[2] == 1:
            key, value = key[:, :, -self.window :], value[:, :, -self.window :]
        length, seen = query.shape[2], key.shape[2]
        groups = query.shape[1] // key.shape[1]
        if query.requires_grad:
            mask_LS = self._mask(length, seen, query.device)
            return _plain(
                query, _spread(key, groups), _spread(value, groups), mask_LS, self.scaling
            )
        simple = self.causal and length == seen > 1 and (self.window is None or self.window >= seen)
        return nn.functional.scaled_dot_product_attention(
            query, key, value, None if simple else self._mask(length, seen, query.device),
            is_causal=simple, scale=self.scaling, enable_gqa=groups > 1,
        )  # fmt: skip

    def _mask(self, length: int, seen: int, device: torch.device) -> Tensor | None:
        """True where a token may look; None where it may look everywhere."""
        window = self.window if self.window is not None and self.window < seen else None
        if window is None and (not self.causal or length == 1):
            return None
        queries_L = torch.arange(seen - length, seen, device=device)
        distance_LS = queries_L[:, None] - torch.arange(seen, device=device)
        inside = distance_LS >= 0 if self.causal else torch.ones_like(distance_LS, dtype=torch.bool)
        return inside if window is None else inside & (distance_LS.abs() < window)


def _spread(keys: Tensor, groups: int) -> Tensor:
    """One head of keys or values for each of the query's heads."""
    return keys if groups == 1 else keys.repeat_interleave(groups, dim=1)


def _plain(
    query: Tensor, key: Tensor, value: Tensor, mask_LS: Tensor | None, scale: float | None
) -> Tensor:
    """Written out for training.

    On a CPU the fused operator's backward takes twice this one's at short lengths.
    """
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores_LS = (query * scale) @ key.transpose(2, 3)
    if mask_LS is not None:
        scores_LS = scores_LS.masked_fill(~mask_LS, float("-inf"))
    return scores_LS.softmax(-1) @ value
