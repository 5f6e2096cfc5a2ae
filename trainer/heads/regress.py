"""Rows with a number as label. Knows no split."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trainer.errors import OneClass
from trainer.heads.head_data import Logits, PlainData, texts
from trainer.metrics.metrics import Metrics, regression
from trainer.readers.example import Example
from trainer.readers.fields import field, number
from trainer.readers.reader import Record

if TYPE_CHECKING:
    from engine.text.prompts import Prompter
    from trainer.heads.encoded import EncodedRow
    from trainer.jobs.values import JobSpec
    from trainer.settings.settings import TrainingSettings


class RegressData(PlainData):
    """The head's settings have the mean and standard deviation of the training values."""

    name = "regress"
    metrics: tuple[str, ...] = ("rmse",)
    more_is_better = False
    baseline: str | None = "tfidf+ridge"

    def example(self, record: Record, spec: JobSpec) -> Example:
        first, second = texts(record, spec)
        where = f"{record.place}: {spec.label_column}"
        label = number(field(record, spec.label_column), where, record.line)
        return Example(line=record.line, text=first, pair=second, label=label)

    def check(self, examples: Sequence[Example]) -> None:
        if len({example.label for example in examples}) < 2:
            raise OneClass(
                f"All rows have the value {examples[0].label!r}; there is nothing to learn."
            )

    def settings(self, train: Sequence[Example], settings: TrainingSettings) -> dict[str, Any]:
        values = [float(row.label) for row in train if isinstance(row.label, float)]
        # without a minimum, normalizing values that hardly differ would overflow float32
        spread = max(statistics.pstdev(values), 1e-6)
        return {
            **super().settings(train, settings),
            "mean": statistics.fmean(values),
            "std": spread,
        }

    def guesses(
        self,
        rows: Sequence[EncodedRow],
        answers: Sequence[Logits],
        head: dict[str, Any],
        prompter: Prompter,
    ) -> list[Any]:
        del rows, prompter
        return [float(answer[0]) * head["std"] + head["mean"] for answer in answers]

    def loss(self, answer: Logits, row: EncodedRow) -> float | None:
        missed = float(answer[0]) - float(row.target)
        return missed * missed

    def measure(self, truth: Sequence[Any], guesses: Sequence[Any]) -> Metrics:
        return regression(truth, guesses)
