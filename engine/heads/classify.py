"""Classification: one of the version's labels per row, or any number of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import BadAdapter
from engine.heads.head import (
    AnswerOptions,
    Logits,
    RowHead,
    checked_flag,
    checked_input,
    checked_labels,
    checked_number,
    checked_pooling,
    sigmoid,
    softmax,
)
from engine.port import LossOptions
from engine.text.tokenizer import Encoding

if TYPE_CHECKING:
    from torch import Tensor


class ClassifyHead(RowHead):
    """Cross entropy over labels; answers the best label and every label's probability.

    With `multi_label` each label is a yes or no of its own: binary cross entropy, and the answer
    also lists the labels whose probability reaches `threshold`. A `temperature` divides the logits
    before they become probabilities; logits that are asked for as such stay as they are.
    """

    name = "classify"
    settings: tuple[str, ...] = (
        "labels",
        "pooling",
        "input",
        "multi_label",
        "threshold",
        "temperature",
    )

    def check(self, head: dict[str, Any]) -> dict[str, Any]:
        multi_label = checked_flag(head, "multi_label", usual=False)
        checked = {
            "kind": self.name,
            "labels": checked_labels(head, 1 if multi_label else 2),
            "pooling": checked_pooling(head),
            "input": checked_input(head, self.inputs),
            "multi_label": multi_label,
        }
        if multi_label:
            checked["threshold"] = checked_number(head, "threshold", 0.5, 0.0, 1.0)
        elif head.get("threshold") is not None:
            raise BadAdapter("threshold is of multi_label heads; this head answers one label")
        # left out where it changes nothing, so that a version without one keeps its digest
        if (temperature := checked_number(head, "temperature", 1.0, 0.05, 20.0)) != 1.0:
            checked["temperature"] = temperature
        return checked

    def num_outputs(self, head: dict[str, Any]) -> int:
        return len(head["labels"])

    def targets(self, label: Any, encodings: Sequence[Encoding], head: dict[str, Any]) -> list[Any]:
        del encodings
        names: list[str] = head["labels"]
        for name in label if head["multi_label"] else [label]:
            if name not in names:
                raise BadAdapter(f"the label {name!r} is not one of {names}")
        if head["multi_label"]:
            return [[int(name in label) for name in names]]
        return [names.index(label)]

    def loss(
        self,
        logits: Tensor,
        targets: list[Any],
        lengths: list[int],
        head: dict[str, Any],
        options: LossOptions,
    ) -> Tensor:
        import torch

        del lengths
        target = torch.tensor(targets, device=logits.device)
        weights = (
            torch.tensor(options.class_weights, device=logits.device)
            if options.class_weights
            else None
        )
        smoothing = options.label_smoothing
        if not head["multi_label"]:
            # not torch's weighted mean: what a row counts must not depend on its neighbours
            return torch.nn.functional.cross_entropy(
                logits, target, weights, reduction="sum", label_smoothing=smoothing
            ) / len(targets)
        smoothed = target * (1 - smoothing) + smoothing / 2
        return torch.nn.functional.binary_cross_entropy_with_logits(
            logits, smoothed.to(logits.dtype), pos_weight=weights
        )

    def decode(
        self,
        logits: Logits,
        head: dict[str, Any],
        encoding: Encoding,
        text: str,
        options: AnswerOptions,
    ) -> dict[str, Any]:
        del encoding, text
        multi_label = head.get("multi_label", False)
        # in float64: a small temperature must not overflow a huge logit
        tempered = logits.astype(np.float64) / head.get("temperature", 1.0)
        shares = sigmoid(tempered) if multi_label else softmax(tempered)
        scores = logits.astype(np.float64) if options.raw_scores else shares
        best = int(scores.argmax())
        names = head["labels"]
        answer = {
            "label": names[best],
            "score": float(scores[best]),
            "scores": dict(zip(names, scores.tolist(), strict=True)),
        }
        if multi_label:
            reached = (shares >= head["threshold"]).tolist()
            answer["labels"] = [n for n, yes in zip(names, reached, strict=True) if yes]
        return answer
