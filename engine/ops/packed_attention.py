"""Attention per row over a packed stream, registered with transformers for stock model code.

The row lengths are passed as a keyword argument through the model's own forward, so nothing here is
global state. Rows cannot attend to each other, because they are never multiplied together. Stock
code builds no mask for an implementation that `AttentionMaskInterface` does not know, as this one;
causality and windows are read from the attention module. All rows go through one launch where
`VarlenAttention` takes them, else neighbouring rows of equal length go through one call.

Shape letters: N rows of one run, H heads (K of keys and values), T tokens of all rows, L tokens of
one row, S tokens a row attends to, D width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from engine.ops.attention_autograd import Run, attention_autograd
from engine.ops.cuda_graph import CaptureFailed
from engine.ops.row_lengths import RowLengths
from engine.ops.varlen_attention import VarlenAttention

PACKED = "adapterd_packed"


class KVAttention(Protocol):
    """Attention of the tokens of one forward over a KV cache."""

    def attend(self, layer: int, view: View, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """As `PackedAttention`; keeps the new keys and values for forwards to come."""
        ...


def register_packed_attention() -> None:
    """Make `attn_implementation=PACKED` known. Registering again changes nothing."""
    AttentionInterface.register(PACKED, PackedAttention(VarlenAttention()))


class PackedAttention:
    """What transformers calls in every layer."""

    def __init__(self, varlen: VarlenAttention) -> None:
        self._varlen = varlen

    def __call__(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        *,
        row_lengths: RowLengths | None,
        kv_attention: KVAttention | None = None,
        scaling: float | None = None,
        sliding_window: int | None = None,
        is_causal: bool | None = None,
        **_: Any,
    ) -> tuple[Tensor, None]:
        """Query [1, H, T, D], key and value [1, K, T, D] of rows laid end to end; answers
        [1, T, H, D].
        """
        del attention_mask
        causal = bool(getattr(module, "is_causal", False) if is_causal is None else is_causal)
        view = View(causal=causal, window=sliding_window, scaling=scaling)
        if kv_attention is not None:
            layer: Any = module.layer_idx
            return kv_attention.attend(int(layer), view, query, key, value), None
        assert row_lengths is not None, "rows without lengths attend over a KV cache"
        if self._varlen.takes(query):
            window_size = view.window_size
            return self._varlen.attend(query, key, value, row_lengths, scaling, window_size), None
        if not row_lengths.runs:
            raise CaptureFailed("attention by runs of one length needs the lengths on the host")
        if query.requires_grad:
            return view.autograd(query, key, value, row_lengths.runs), None
        return view.by_runs(query, key, value, row_lengths.runs), None


def _split(streams: Sequence[Tensor], sizes: Sequence[int]) -> list[tuple[Tensor, ...]]:
    return [torch.split(x[0].transpose(0, 1), list(sizes)) for x in streams]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Which of a row's tokens each of them sees, and how their scores are scaled."""

    causal: bool
    #: a token sees others at distances below it; None: all
    window: int | None
    scaling: float | None

    @property
    def window_size(self) -> tuple[int, int]:
        """How many tokens each sees to its left and right; -1: all."""
        side = -1 if self.window is None else self.window - 1
        return (side, 0 if self.causal else side)

    def by_runs(self, query: Tensor, key: Tensor, value: Tensor, runs: Sequence[Run]) -> Tensor:
        """As `PackedAttention`, each run in its own place of the batch of one call."""
        streams = _split((query, key, value), [length * count for length, count in runs])
        parts = []
        for (_, count), *run in zip(runs, *streams, strict=True):
            parts.append(self.along(count, *run))
        return torch.cat(parts)[None]

    def along(self, num_rows: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Query [T, H, D], key and value [T, K, D] of whole rows of one length, laid end to end;
        answers [T, H, D].
        """
        q, k, v = (
            x.reshape(num_rows, -1, *x.shape[1:]).transpose(1, 2) for x in (query, key, value)
        )
        return self._attend(q, k, v).transpose(1, 2).flatten(0, 1)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Query [N, H, L, D], key and value [N, K, L, D] of whole rows."""
        length, groups = query.shape[2], query.shape[1] // key.shape[1]
        if self.causal and length > 1 and (self.window is None or self.window >= length):
            return nn.functional.scaled_dot_product_attention(
                query, key, value, is_causal=True, scale=self.scaling, enable_gqa=groups > 1
            )
        return attend_to(query, key, value, self._mask(length, query.device), self.scaling)

    def autograd(self, query: Tensor, key: Tensor, value: Tensor, runs: Sequence[Run]) -> Tensor:
        """As `PackedAttention`, with gradients."""
        groups, device = query.shape[1] // key.shape[1], query.device
        scale = query.shape[-1] ** -0.5 if self.scaling is None else self.scaling
        return attention_autograd(
            query,
            _spread(key, groups),
            _spread(value, groups),
            runs,
            scale,
            lambda length: self._mask(length, device),
        )

    def _mask(self, length: int, device: torch.device) -> Tensor | None:
        """True where a token may look; None where it may look everywhere."""
        window = self.window if self.window is not None and self.window < length else None
        if length == 1 or (window is None and not self.causal):
            return None
        tokens_L = torch.arange(length, device=device)
        distance_LS = tokens_L[:, None] - tokens_L
        inside = distance_LS >= 0 if self.causal else torch.ones_like(distance_LS, dtype=torch.bool)
        return inside if window is None else inside & (distance_LS.abs() < window)


def attend_to(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float | None
) -> Tensor:
    """Query [N, H, L, D], key and value [N, K, S, D]; the mask tells or is added to scores."""
    return nn.functional.scaled_dot_product_attention(
        query, key, value, mask, scale=scale, enable_gqa=query.shape[1] > key.shape[1]
    )


def _spread(keys: Tensor, groups: int) -> Tensor:
    """One head of keys or values for each of the query's heads."""
    return keys if groups == 1 else keys.repeat_interleave(groups, dim=1)
