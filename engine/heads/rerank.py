"""Reranking: one score for how well the second text of a pair answers the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.errors import BadAdapter
from engine.heads.head import (
    AnswerOptions,
    Logits,
    RowHead,
    checked_input,
    checked_pooling,
    sigmoid,
)
from engine.port import LossOptions
from engine.text.tokenizer import Encoding

if TYPE_CHECKING:
    from torch import Tensor


class RerankHead(RowHead):
    """Binary cross entropy on one logit; targets are shares of relevance from 0 to 1."""

    name = "rerank"
    inputs: tuple[str, ...] = ("pair",)
    settings: tuple[str, ...] = ("pooling", "input")

    def check(self, head: dict[str, Any]) -> dict[str, Any]:
        return {
            "kind": self.name,
            "pooling": checked_pooling(head),
            "input": checked_input(head, self.inputs),
        }

    def num_outputs(self, head: dict[str, Any]) -> int:
        del head
        return 1

    def targets(self, label: Any, encodings: Sequence[Encoding], head: dict[str, Any]) -> list[Any]:
        del encodings, head
        if not isinstance(label, int | float) or not 0 <= label <= 1:
            raise BadAdapter(f"the label {label!r} is not a relevance between 0 and 1")
        return [float(label)]

    def loss(
        self,
        logits: Tensor,
        targets: list[Any],
        lengths: list[int],
        head: dict[str, Any],
        options: LossOptions,
    ) -> Tensor:
        import torch

        del lengths, head
        target = torch.tensor(targets, dtype=logits.dtype, device=logits.device)
        smoothing = options.label_smoothing
        return torch.nn.functional.binary_cross_entropy_with_logits(
            logits.squeeze(-1), target * (1 - smoothing) + smoothing / 2
        )

    def decode(
        self,
        logits: Logits,
        head: dict[str, Any],
        encoding: Encoding,
        text: str,
        options: AnswerOptions,
    ) -> dict[str, Any]:
        del head, encoding, text
        return {"score": float((logits if options.raw_scores else sigmoid(logits))[0])}
