"""Weights by name, the same on every version of every library: NumPy's frozen random stream."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import torch

CONFIG: dict[str, Any] = {
    "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 24, "max_position_embeddings": 24, "num_labels": 3,
}  # fmt: skip
ROWS = [[2, 7, 8, 9, 3], [2, 30, 3], [2, 11, 12, 13, 14, 15, 16, 17, 3]]


@torch.no_grad()
def fill(model: torch.nn.Module, prefix: str = "") -> None:
    """Every parameter from its name; norms stay near one."""
    for name, parameter in model.named_parameters():
        stream = np.random.RandomState(zlib.crc32((prefix + name).encode()))
        values = torch.from_numpy(stream.standard_normal(tuple(parameter.shape))).float() * 0.2
        parameter.copy_(1 + values if name.endswith("LayerNorm.weight") else values)
