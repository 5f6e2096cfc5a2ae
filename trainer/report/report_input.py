"""What a run leaves for its report, and how that travels to the child: as plain JSON. Judges
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.heads import HEAD_DATA
from trainer.heads.encoded import EncodedRow
from trainer.heads.head_data import Answer

#: heads whose logits become probabilities
_PROBABLE = ("classify", "rerank")
_MOST_EPOCHS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Rows, what the published run answers to them, and the predictions that follow."""

    rows: Sequence[EncodedRow]
    answers: Sequence[Answer]
    predictions: Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInput:
    """Everything that the report is made of."""

    #: as it will be served, with its temperature
    head: dict[str, Any]
    train: Sequence[EncodedRow]
    dev: Sequence[EncodedRow]
    test: Answered
    #: some training rows, for labels that may be wrong
    sample: Answered
    #: of each seed {"seed", "kept", "test": metrics, "epochs"}; of each of these
    #: {"number", "loss", "dev_loss", "value", "best"}
    runs: Sequence[dict[str, Any]]
    #: {"trainable", "base"}
    parameters: dict[str, int]
    warnings: Sequence[str]
    findings: Sequence[dict[str, Any]] = ()
    production: dict[str, Any] | None = None
    learning_curve: Sequence[dict[str, Any]] | None = None
    full_finetuning: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        head, data = self.head, HEAD_DATA[self.head["kind"]]
        place = {id(row): index for index, row in enumerate(self.train)}
        return {
            "head": head,
            "metrics": data.metrics,
            "more_is_better": data.more_is_better,
            "baseline": data.baseline,
            "train": [_wire(row, head) for row in self.train],
            "dev": [_wire(row, head) for row in self.dev],
            "test": [_wire(row, head) for row in self.test.rows],
            "test_guesses": list(self.test.predictions),
            "test_logits": _lists(self.test.answers) if head["kind"] in _PROBABLE else [],
            "test_losses": _losses(self.test, head),
            "sample": [place[id(row)] for row in self.sample.rows],
            "sample_guesses": list(self.sample.predictions),
            "sample_losses": _losses(self.sample, head),
            "runs": [{**run, "epochs": _thinned(run["epochs"])} for run in self.runs],
            "parameters": self.parameters,
            "warnings": list(self.warnings),
            "findings": list(self.findings),
            "production": self.production,
            "learning_curve": self.learning_curve,
            "full_finetuning": self.full_finetuning,
        }


def _wire(row: EncodedRow, head: dict[str, Any]) -> dict[str, Any]:
    example = row.example
    both = (example.text, example.pair)
    return {
        "line": example.line,
        "text": example.text if example.pair is None else f"{example.text} {example.pair}",
        "both": both,
        "words": example.words,
        "label": example.label,
        "asked": example.turns[-1].asked.messages[-1]["content"] if example.turns else example.text,
        "tokens": row.num_tokens,
        "truncated": row.truncated,
        "named": head["kind"] == "classify",
        "spans": head["kind"] == "span",
    }


def _lists(answers: Sequence[Answer]) -> list[list[float]]:
    return [np.asarray(answer, float).tolist() for answer in answers]


def _losses(answered: Answered, head: dict[str, Any]) -> list[float | None]:
    data = HEAD_DATA[head["kind"]]
    pairs = zip(answered.rows, answered.answers, strict=True)
    return [data.loss(answer, row) for row, answer in pairs]


def _thinned(epochs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most so many, the first, the last and every best one among them."""
    step = max(1, -(-len(epochs) // _MOST_EPOCHS))
    last = len(epochs) - 1
    return [
        epoch
        for index, epoch in enumerate(epochs)
        if index % step == 0 or index == last or epoch["best"]
    ]
