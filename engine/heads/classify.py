"""One label per row, out of the version's own list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import BadAdapter
from engine.heads.head_kind import POOLINGS, Logits, checked_labels, checked_pooling, softmax
from engine.tokenizer import Encoding

if TYPE_CHECKING:
    from torch import Tensor


class ClassifyHead:
    """Cross entropy over labels; answers the best label and every label's probability."""

    name = "classify"
    per_token = False
    poolings = POOLINGS

    def check(self, head: dict[str, Any]) -> dict[str, Any]:
        return {
            "kind": self.name,
            "labels": checked_labels(head, 2),
            "pooling": checked_pooling(head),
        }

    def num_outputs(self, head: dict[str, Any]) -> int:
        return len(head["labels"])

    def target(self, label: Any, encoding: Encoding, head: dict[str, Any]) -> int:
        del encoding
        labels: list[str] = head["labels"]
        if label not in labels:
            raise BadAdapter(f"the label {label!r} is not one of {labels}")
        return labels.index(label)

    def loss(
        self, logits: Tensor, targets: list[Any], lengths: list[int], head: dict[str, Any]
    ) -> Tensor:
        import torch

        del lengths, head
        return torch.nn.functional.cross_entropy(
            logits, torch.tensor(targets, device=logits.device)
        )

    def decode(
        self,
        logits: Logits,
        head: dict[str, Any],
        encoding: Encoding,
        text: str,
        raw_scores: bool = False,
    ) -> dict[str, Any]:
        del encoding, text
        scores = logits.astype(np.float64) if raw_scores else softmax(logits)
        best = int(scores.argmax())
        named = dict(zip(head["labels"], scores.tolist(), strict=True))
        return {"label": head["labels"][best], "score": float(scores[best]), "scores": named}
