"""Embeddings: the pooled hidden states as a vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import BadAdapter, BadAnswering
from engine.heads.head import (
    AnswerOptions,
    Logits,
    RowHead,
    checked_flag,
    checked_input,
    checked_pooling,
)
from engine.port import LossOptions
from engine.text.tokenizer import Encoding

if TYPE_CHECKING:
    from torch import Tensor

_SCALE = (
    20.0  # similarities are this sharp in the contrastive loss, as sentence-transformers has it
)


class EmbedHead(RowHead):
    """No weights. Trained on pairs: each text must find its own partner among those of the batch,
    or, where pairs have a score, be as similar to it as the score says.
    """

    name = "embed"
    poolings: tuple[str, ...] = ("mean", "native", "cls", "last")
    inputs: tuple[str, ...] = ("text",)
    settings: tuple[str, ...] = ("pooling", "input", "normalize", "dimensions")
    native_as = "embed"
    peft_task = "FEATURE_EXTRACTION"
    trains_apart = True
    bare = True

    def check(self, head: dict[str, Any]) -> dict[str, Any]:
        dimensions = head.get("dimensions")
        if dimensions is not None and not _is_count(dimensions):
            raise BadAdapter(f"dimensions of an embed head is {dimensions!r}; it counts from 1")
        return {
            "kind": self.name,
            "pooling": checked_pooling(head, self.poolings),
            "input": checked_input(head, self.inputs),
            "normalize": checked_flag(head, "normalize", usual=True),
            "dimensions": dimensions,
        }

    def num_outputs(self, head: dict[str, Any]) -> int:
        del head
        return 0

    def targets(self, label: Any, encodings: Sequence[Encoding], head: dict[str, Any]) -> list[Any]:
        """The score of the pair, or none, at each of its texts; neighbours are partners."""
        del head
        return [label for _ in encodings]

    def merge_logits(self, parts: Sequence[Logits], encodings: Sequence[Encoding]) -> Logits:
        """One text's vector, or the vectors of a pair as rows."""
        del encodings
        return parts[0] if len(parts) == 1 else np.stack(parts)

    def loss(
        self,
        logits: Tensor,
        targets: list[Any],
        lengths: list[int],
        head: dict[str, Any],
        options: LossOptions,
    ) -> Tensor:
        import torch

        del lengths, head, options
        unit = torch.nn.functional.normalize(logits, dim=-1)
        left, right = unit[::2], unit[1::2]
        scores = targets[::2]
        if scores[0] is not None:
            target = torch.tensor(scores, dtype=logits.dtype, device=logits.device)
            return torch.nn.functional.mse_loss((left * right).sum(-1), target)
        similar = left @ right.T * _SCALE
        own = torch.arange(len(scores), device=logits.device)
        cross_entropy = torch.nn.functional.cross_entropy
        return (cross_entropy(similar, own) + cross_entropy(similar.T, own)) / 2

    def decode(
        self,
        logits: Logits,
        head: dict[str, Any],
        encoding: Encoding,
        text: str,
        options: AnswerOptions,
    ) -> dict[str, Any]:
        del encoding, text
        dimensions = options.dimensions or head["dimensions"] or len(logits)
        if dimensions > len(logits):
            raise BadAnswering(f"dimensions is {dimensions}; the embedding has {len(logits)}")
        vector = logits[:dimensions].astype(np.float64)
        normalize = head["normalize"] if options.normalize is None else options.normalize
        if normalize:
            vector = vector / max(float(np.linalg.norm(vector)), 1e-12)
        return {"embedding": vector.tolist()}


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
