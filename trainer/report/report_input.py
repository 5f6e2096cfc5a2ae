"""The evidence that a run leaves for its report, and its form as JSON, for the child. Computes no
figure of the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np

from trainer.heads import HEAD_DATA
from trainer.heads.encoded import EncodedRow
from trainer.heads.head_data import Answer
from trainer.metrics.metrics import Metrics
from trainer.report.learning_curve import LearningPoint

#: heads whose logits become probabilities
_PROBABLE = ("classify", "rerank")
_MOST_EPOCHS = 60


class Epoch(TypedDict):
    """One epoch of a run."""

    #: from 1
    number: int
    #: the mean training loss
    loss: float
    #: null for heads without a loss on dev
    dev_loss: float | None
    #: the head's main metric on dev
    value: float | None
    #: whether its weights were kept
    best: bool


class Run(TypedDict):
    """The training of one seed."""

    seed: int
    #: whether it became the version
    kept: bool
    epochs: Sequence[Epoch]
    #: its metrics on the test rows
    test: Metrics


class Parameters(TypedDict):
    """How many parameters there are: those that were trained, and those of the frozen base."""

    trainable: int
    base: int


class EvidenceRow(TypedDict):
    """A labelled row, as the child needs it."""

    #: in its file, from 1
    line: int
    #: the text, or both texts of a pair with a space between
    text: str
    both: tuple[str, str | None]
    #: of heads that label words
    words: Sequence[str]
    label: Any
    #: the text, or the last message of a conversation
    prompt: str
    #: as many as the base reads
    tokens: int
    #: whether it was cut at the limit of the base
    truncated: bool
    #: whether its label is a name, or a list of names
    named: bool
    #: whether its label is a list of spans
    spans: bool


class Evidence(TypedDict):
    """A `ReportInput` as JSON."""

    #: the head as it is served
    head: dict[str, Any]
    #: the metrics that early stopping may follow, the main one first
    metrics: Sequence[str]
    more_is_better: bool
    #: the name of the model that is trained for comparison
    baseline: str | None
    train: list[EvidenceRow]
    dev: list[EvidenceRow]
    test: list[EvidenceRow]
    #: the predictions for the test rows, as the head's metrics compare them
    test_guesses: list[Any]
    #: empty for heads without probabilities
    test_logits: list[list[float]]
    #: of the dev rows, without a temperature; empty for heads without labels
    dev_logits: list[list[float]]
    test_losses: list[float | None]
    #: what an error on a row with this label costs; null where labels have no weights
    error_costs: dict[str, float] | None
    #: the indices of the training rows that were predicted too
    sample: list[int]
    sample_guesses: list[Any]
    sample_losses: list[float | None]
    runs: list[Run]
    parameters: Parameters
    #: the preset that it was trained with
    preset: str
    #: whether the version has the mean of the weights of all seeds
    averaged: bool
    #: seeds that were left out
    diverged_seeds: Sequence[int]
    warnings: list[str]
    findings: list[dict[str, Any]]
    #: {"version", "digest", "guesses" | "skipped", "note"}
    production: dict[str, Any] | None
    #: as the job's result has it, and the job's own settings as "settings"
    search: dict[str, Any] | None
    learning_curve: Sequence[LearningPoint] | None
    #: {"epochs", "seconds", "guesses"} or {"error"}
    full_finetuning: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredRows:
    """Rows, the answers of the published run, and what these predict."""

    rows: Sequence[EncodedRow]
    answers: Sequence[Answer]
    predictions: Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInput:
    """Everything that the report is computed from."""

    #: as it is served, with its temperature
    head: dict[str, Any]
    train: Sequence[EncodedRow]
    dev: Sequence[EncodedRow]
    test: AnsweredRows
    #: to the dev rows; none for heads without labels
    dev_answers: Sequence[Answer] = ()
    error_costs: Mapping[str, float] | None = None
    #: some training rows, to find labels that may be wrong
    sample: AnsweredRows
    #: one for each seed
    runs: Sequence[Run]
    parameters: Parameters
    warnings: Sequence[str]
    findings: Sequence[dict[str, Any]] = ()
    preset: str = "balanced"
    averaged: bool = False
    diverged_seeds: Sequence[int] = ()
    production: dict[str, Any] | None = None
    search: dict[str, Any] | None = None
    learning_curve: Sequence[LearningPoint] | None = None
    full_finetuning: dict[str, Any] | None = None

    def to_json(self) -> Evidence:
        head, data = self.head, HEAD_DATA[self.head["kind"]]
        place = {id(row): index for index, row in enumerate(self.train)}
        return {
            "head": head,
            "metrics": data.metrics,
            "more_is_better": data.more_is_better,
            "baseline": data.baseline,
            "train": [_to_json(row, head) for row in self.train],
            "dev": [_to_json(row, head) for row in self.dev],
            "test": [_to_json(row, head) for row in self.test.rows],
            "test_guesses": list(self.test.predictions),
            "test_logits": _list_logits(self.test.answers) if head["kind"] in _PROBABLE else [],
            "dev_logits": _list_logits(self.dev_answers),
            "error_costs": dict(self.error_costs) if self.error_costs else None,
            "test_losses": _list_losses(self.test, head),
            "sample": [place[id(row)] for row in self.sample.rows],
            "sample_guesses": list(self.sample.predictions),
            "sample_losses": _list_losses(self.sample, head),
            "runs": [{**run, "epochs": _thin_out(run["epochs"])} for run in self.runs],
            "parameters": self.parameters,
            "preset": self.preset,
            "averaged": self.averaged,
            "diverged_seeds": list(self.diverged_seeds),
            "warnings": list(self.warnings),
            "findings": list(self.findings),
            "production": self.production,
            "search": self.search,
            "learning_curve": self.learning_curve,
            "full_finetuning": self.full_finetuning,
        }


def _to_json(row: EncodedRow, head: dict[str, Any]) -> EvidenceRow:
    example = row.example
    prompt = example.turns[-1].prompt.messages[-1]["content"] if example.turns else example.text
    both = (example.text, example.pair)
    return {
        "line": example.line,
        "text": example.text if example.pair is None else f"{example.text} {example.pair}",
        "both": both,
        "words": example.words,
        "label": example.label,
        "prompt": prompt,
        "tokens": row.num_tokens,
        "truncated": row.truncated,
        "named": head["kind"] == "classify",
        "spans": head["kind"] == "span",
    }


def _list_logits(answers: Sequence[Answer]) -> list[list[float]]:
    return [np.asarray(answer, float).tolist() for answer in answers]


def _list_losses(answered: AnsweredRows, head: dict[str, Any]) -> list[float | None]:
    data = HEAD_DATA[head["kind"]]
    pairs = zip(answered.rows, answered.answers, strict=True)
    return [data.loss(answer, row) for row, answer in pairs]


def _thin_out(epochs: Sequence[Epoch]) -> list[Epoch]:
    """About `_MOST_EPOCHS` of them, with the first, the last and the best."""
    step = max(1, -(-len(epochs) // _MOST_EPOCHS))
    last = len(epochs) - 1
    return [
        epoch
        for index, epoch in enumerate(epochs)
        if index % step == 0 or index == last or epoch["best"]
    ]
