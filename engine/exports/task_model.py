"""One version as a torch module: ids to logits, as a stock model computes them. Knows no file.

Shape letters: R rows, L longest row, D hidden width, O outputs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from engine.adapters.head_layers import HeadLayers, HeadWeights

#: what it takes, in this order; a base without token types ignores the last
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class StockTaskModel(nn.Module):
    """A stock `AutoModelFor…`, whose head is the version's."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids_RL: Tensor, mask_RL: Tensor, types_RL: Tensor | None = None) -> Tensor:
        output = self.model(**_arguments(ids_RL, mask_RL, types_RL))
        if "start_logits" in output:
            return torch.stack([output.start_logits, output.end_logits], -1)
        logits: Tensor = output.logits
        return logits


class HeadedModel(nn.Module):
    """A stock `AutoModel` with a head of our own behind it, or none: an embedding."""

    def __init__(
        self, model: Any, layers: HeadLayers, weights: HeadWeights, *, reads_pooler: bool
    ) -> None:
        super().__init__()
        self.model = model
        self._layers, self._reads_pooler = layers, reads_pooler
        self._names = list(weights)
        for number, name in enumerate(self._names):
            self.register_buffer(f"head_{number}", weights[name].float())

    def forward(self, ids_RL: Tensor, mask_RL: Tensor, types_RL: Tensor | None = None) -> Tensor:
        output = self.model(**_arguments(ids_RL, mask_RL, types_RL))
        weights = {name: getattr(self, f"head_{n}") for n, name in enumerate(self._names)}
        if self._reads_pooler:
            return self._layers.logits(output.pooler_output, weights)
        hidden_RLD: Tensor = output.last_hidden_state
        if self._layers.per_token:
            return self._layers.logits(hidden_RLD, weights)
        return self._layers.logits(self._pool(hidden_RLD, mask_RL), weights)

    def _pool(self, hidden_RLD: Tensor, mask_RL: Tensor) -> Tensor:
        if self._layers.tokens_read == "first":
            return hidden_RLD[:, 0]
        if self._layers.tokens_read == "last":
            last_R = mask_RL.long().sum(1) - 1
            return hidden_RLD[torch.arange(len(last_R)), last_R]
        weights_RL = mask_RL.to(hidden_RLD.dtype)
        return (hidden_RLD * weights_RL[..., None]).sum(1) / weights_RL.sum(1, keepdim=True)


def _arguments(ids_RL: Tensor, mask_RL: Tensor, types_RL: Tensor | None) -> dict[str, Tensor]:
    arguments = {"input_ids": ids_RL, "attention_mask": mask_RL}
    return arguments if types_RL is None else {**arguments, "token_type_ids": types_RL}
