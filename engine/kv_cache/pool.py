"""The memory of the KV cache: one pool of blocks for all running sequences.

Knows no model and no sequence.

Shape letters: T new tokens of all rows, K heads of keys and values, D width of a head, L tokens of
a source.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from engine.kv_cache.block_allocator import NO_BLOCK

BLOCK_TOKENS = 16


class KeyValuePool:
    """Every layer's keys and values in blocks of a fixed size, as many as a budget holds.

    The memory is asked for at once, but on a CPU it costs nothing until a block is first taken.
    """

    def __init__(self, config: Any, dtype: torch.dtype, device: torch.device, budget: int) -> None:
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        width = (
            getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        )
        shape = (BLOCK_TOKENS, heads, width)
        layers = 2 * config.num_hidden_layers
        self.block_bytes = layers * BLOCK_TOKENS * heads * width * dtype.itemsize
        self.num_blocks = budget // self.block_bytes
        self.dtype, self.device = dtype, device
        self._pool = torch.empty(layers, 1 + self.num_blocks, *shape, dtype=dtype, device=device)
        self._pool[:, NO_BLOCK] = 0
        #: by layer, keys and values: [blocks, tokens, K, D] and, of the same memory, [places, K, D]
        self.blocks = [(self._pool[i], self._pool[i + 1]) for i in range(0, layers, 2)]
        self._places = [(k.flatten(0, 1), v.flatten(0, 1)) for k, v in self.blocks]

    def clear(self, blocks: Sequence[int]) -> None:
        """Leave nothing of whoever had them: where attention may not look, it still multiplies."""
        if blocks:
            taken = torch.tensor(blocks, device=self.device)
            self._pool.index_fill_(1, taken, 0)

    def write(self, layer: int, places_T: Tensor, key_TKD: Tensor, value_TKD: Tensor) -> None:
        keys, values = self._places[layer]
        keys.index_copy_(0, places_T, key_TKD)
        values.index_copy_(0, places_T, value_TKD)
