"""One number per row."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from engine.errors import BadAdapter
from engine.heads.head_kind import POOLINGS, Logits, checked_pooling
from engine.tokenizer import Encoding

if TYPE_CHECKING:
    from torch import Tensor


class RegressHead:
    """Mean squared error on targets standardised by the training rows.

    `mean` and `std` undo it in the answer.
    """

    name = "regress"
    per_token = False
    poolings = POOLINGS

    def check(self, head: dict[str, Any]) -> dict[str, Any]:
        mean, std = head.get("mean", 0.0), head.get("std", 1.0)
        if not (_is_finite(mean) and _is_finite(std) and std > 0):
            raise BadAdapter(
                f"a regress head needs a finite mean and a positive std; it has {mean} and {std}"
            )
        pooling = checked_pooling(head)
        return {"kind": self.name, "pooling": pooling, "mean": float(mean), "std": float(std)}

    def num_outputs(self, head: dict[str, Any]) -> int:
        del head
        return 1

    def target(self, label: Any, encoding: Encoding, head: dict[str, Any]) -> float:
        del encoding
        if not _is_finite(label):
            raise BadAdapter(f"the label {label!r} is not a finite number")
        return (float(label) - float(head["mean"])) / float(head["std"])

    def loss(
        self, logits: Tensor, targets: list[Any], lengths: list[int], head: dict[str, Any]
    ) -> Tensor:
        import torch

        del lengths, head
        wanted = torch.tensor(targets, dtype=logits.dtype, device=logits.device)
        return torch.nn.functional.mse_loss(logits.squeeze(-1), wanted)

    def decode(
        self,
        logits: Logits,
        head: dict[str, Any],
        encoding: Encoding,
        text: str,
        raw_scores: bool = False,
    ) -> dict[str, Any]:
        del encoding, text
        value = float(logits[0])
        return {"value": value if raw_scores else value * float(head["std"]) + float(head["mean"])}


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max
