"""Regression: one number per row."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.errors import BadAdapter
from engine.heads.head import AnswerOptions, Logits, RowHead, checked_input, checked_pooling
from engine.port import LossOptions
from engine.text.tokenizer import Encoding

if TYPE_CHECKING:
    from torch import Tensor


class RegressHead(RowHead):
    """Mean squared error on targets standardised by the training rows.

    `mean` and `std` undo it in the answer.
    """

    name = "regress"
    settings: tuple[str, ...] = ("pooling", "input", "mean", "std")
    native_as = "regress"

    def check(self, head: dict[str, Any]) -> dict[str, Any]:
        mean, std = head.get("mean", 0.0), head.get("std", 1.0)
        if not (_is_finite(mean) and _is_finite(std) and std > 0):
            raise BadAdapter(
                f"a regress head needs a finite mean and a positive std; it has {mean} and {std}"
            )
        return {
            "kind": self.name,
            "pooling": checked_pooling(head),
            "input": checked_input(head, self.inputs),
            "mean": float(mean),
            "std": float(std),
        }

    def num_outputs(self, head: dict[str, Any]) -> int:
        del head
        return 1

    def targets(self, label: Any, encodings: Sequence[Encoding], head: dict[str, Any]) -> list[Any]:
        del encodings
        if not _is_finite(label):
            raise BadAdapter(f"the label {label!r} is not a finite number")
        return [(float(label) - float(head["mean"])) / float(head["std"])]

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
        target = torch.tensor(targets, dtype=logits.dtype, device=logits.device)
        return torch.nn.functional.mse_loss(logits.squeeze(-1), target)

    def decode(
        self,
        logits: Logits,
        head: dict[str, Any],
        encoding: Encoding,
        text: str,
        options: AnswerOptions,
    ) -> dict[str, Any]:
        del encoding, text
        value = float(logits[0])
        if options.raw_scores:
            return {"value": value}
        return {"value": value * float(head["std"]) + float(head["mean"])}


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max
