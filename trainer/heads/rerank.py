"""Pairs of texts with the relevance of the second to the first. Knows no split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.errors import BadLine, OneClass
from trainer.heads.head_data import Logits, PlainData, pair
from trainer.metrics.metrics import Metrics, binary_cross_entropy, ranking
from trainer.readers.example import Example
from trainer.readers.fields import field, number
from trainer.readers.reader import Record

if TYPE_CHECKING:
    from engine.text.prompts import Prompter
    from trainer.heads.encoded import EncodedRow
    from trainer.jobs.values import JobSpec


class RerankData(PlainData):
    """Relevance is a number from 0 to 1."""

    name = "rerank"
    metrics: tuple[str, ...] = ("auc",)
    usual_columns: tuple[str, ...] = ("text_pair", "pair")
    baseline: str | None = "tfidf+cosine"

    def example(self, record: Record, spec: JobSpec) -> Example:
        first, second = pair(record, spec)
        where = f"{record.place}: {spec.label_column}"
        raw = field(record, spec.label_column)
        label = float(raw) if isinstance(raw, bool) else number(raw, where, record.line)
        if not 0 <= label <= 1:
            raise BadLine(
                f"{where} is {label:g}; a relevance is between 0 and 1.", line=record.line
            )
        return Example(line=record.line, text=first, pair=second, label=label)

    def check(self, examples: Sequence[Example]) -> None:
        relevant = {example.label > 0.5 for example in examples if isinstance(example.label, float)}
        if len(relevant) < 2:
            which = "relevant" if relevant == {True} else "irrelevant"
            raise OneClass(
                f"All pairs are {which}; relevant and irrelevant pairs are needed to train."
            )

    def guesses(
        self,
        rows: Sequence[EncodedRow],
        answers: Sequence[Logits],
        head: dict[str, Any],
        prompter: Prompter,
    ) -> list[Any]:
        del rows, head, prompter
        return [float((1 + np.tanh(answer[0] / 2)) / 2) for answer in answers]

    def loss(self, answer: Logits, row: EncodedRow) -> float | None:
        return binary_cross_entropy(answer, [row.target])

    def measure(self, truth: Sequence[Any], guesses: Sequence[Any]) -> Metrics:
        return ranking(truth, guesses)
