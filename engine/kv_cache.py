"""The keys and values one running row has made so far, by layer. Grows; never shared between rows.

Knows no model: whoever attends asks, whoever ran the forward commits.

Shape letters: L new tokens, S all tokens so far, K heads of keys and values, D width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache

from engine.packing import Batch

#: tokens a layer's buffers grow by at least
_LEAST_ROOM = 64


class KeyValues:
    """What a row's next tokens look back on.

    A forward that failed halfway leaves nothing behind: what it wrote is overwritten by the next
    one, because only `commit` moves the row's length.
    """

    def __init__(self) -> None:
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}
        self.length = 0

    @property
    def num_bytes(self) -> int:
        return sum(t.numel() * t.element_size() for pair in self._layers.values() for t in pair)

    def extend(self, layer: int, key_LKD: Tensor, value_LKD: Tensor) -> tuple[Tensor, Tensor]:
        """Keep a layer's new keys and values; answers all of them, [S, K, D]."""
        start, stop = self.length, self.length + key_LKD.shape[0]
        held = self._layers.get(layer)
        if held is None or held[0].shape[0] < stop:
            held = self._layers[layer] = (
                _grown(held and held[0], key_LKD, start, stop),
                _grown(held and held[1], value_LKD, start, stop),
            )
        held[0][start:stop], held[1][start:stop] = key_LKD, value_LKD
        return held[0][:stop], held[1][:stop]

    def commit(self, num_tokens: int) -> None:
        """A forward of so many tokens has gone through every layer."""
        self.length += num_tokens


class StockKeyValues:
    """The same for a base that cannot be packed: transformers' own cache, for this row alone."""

    def __init__(self, config: Any) -> None:
        self.cache = DynamicCache(config=config)
        self.length = 0

    def commit(self, num_tokens: int) -> None:
        self.length += num_tokens


class SourceMemory:
    """What a row of an encoder and decoder keeps: its encoded source, and transformers' own cache.

    The cache holds the keys of the source too, made once.
    """

    def __init__(self) -> None:
        # without the config, which counts the encoder's layers
        self.cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        #: [1, L, D] once the source was read
        self.encoded: Tensor | None = None
        #: its tokens, for whatever acts where the decoder looks at them
        self.source: Batch | None = None
        self.length = 0

    def commit(self, num_tokens: int) -> None:
        self.length += num_tokens


Memory = KeyValues | StockKeyValues | SourceMemory


def _grown(old_SKD: Tensor | None, new_LKD: Tensor, start: int, stop: int) -> Tensor:
    room = max(stop + _LEAST_ROOM, 2 * start)
    grown = torch.empty(
        room, *new_LKD.shape[1:], dtype=new_LKD.dtype, device=new_LKD.device
    )  # fmt: skip
    if old_SKD is not None:
        grown[:start] = old_SKD[:start]
    return grown
