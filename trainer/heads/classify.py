"""Rows with a label, or with a list of them for a multi-label head."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.errors import BadLine, OneClass, TooManyClasses
from trainer.heads.head_data import Logits, PlainData, texts
from trainer.metrics import metrics
from trainer.metrics.metrics import Metrics
from trainer.readers.example import Example
from trainer.readers.fields import field, name, parse_list, short_repr
from trainer.readers.reader import Record

if TYPE_CHECKING:
    from engine.text.prompts import Prompter
    from trainer.heads.encoded import EncodedRow
    from trainer.jobs.values import JobSpec
    from trainer.settings.settings import TrainingSettings

MAX_CLASSES = 1000
#: a whole number, also with the point that tables write where the column has missing values
_WHOLE = re.compile(r"[+-]?\d+(?:\.0+)?")


class ClassifyData(PlainData):
    """Trains a multi-label head if the labels of the file are lists of names."""

    name = "classify"
    metrics: tuple[str, ...] = ("accuracy", "micro_f1")
    baseline: str | None = "tfidf+logistic"

    def example(self, record: Record, spec: JobSpec) -> Example:
        first, second = texts(record, spec)
        where = f"{record.place}: {spec.label_column}"
        raw = parse_list(field(record, spec.label_column), where, record.line)
        label: Any
        if isinstance(raw, list):
            label = _names(raw, where, record.line)
        else:
            label = name(raw, where, record.line)
        return Example(line=record.line, text=first, pair=second, label=label)

    def check_alike(self, examples: Sequence[Example]) -> None:
        multi_label = isinstance(examples[0].label, tuple)
        for example in examples:
            if isinstance(example.label, tuple) != multi_label:
                current, first = _as_written(example.label), _as_written(examples[0].label)
                single = first if isinstance(example.label, tuple) else current
                raise BadLine(
                    f"Line {example.line} has the label {current} and line {examples[0].line} has "
                    f"{first}; either every row has one label, or every row has a list of labels. "
                    f"As a list, {single} is [{single}].",
                    line=example.line,
                )

    def unify(
        self, parts: Mapping[str, Sequence[Example]]
    ) -> tuple[Mapping[str, Sequence[Example]], str | None]:
        labels = {example.label for rows in parts.values() for example in rows}
        if not all(isinstance(label, str) and _WHOLE.fullmatch(label) for label in labels):
            return parts, None
        pointed = sorted(str(label) for label in labels if "." in str(label))
        if not pointed:
            return parts, None
        whole = {
            part: [replace(row, label=str(row.label).partition(".")[0]) for row in rows]
            for part, rows in parts.items()
        }
        return whole, (
            f"All labels are whole numbers, so {pointed[0]!r} is read as "
            f"{pointed[0].partition('.')[0]!r}; tables write a point where a column had a gap."
        )

    def check(self, examples: Sequence[Example]) -> None:
        counts = Counter(label for example in examples for label in self.strata(example))
        several = isinstance(examples[0].label, tuple)
        if several and not any(0 < count < len(examples) for count in counts.values()):
            raise OneClass("All rows have the same list of labels; there is nothing to learn.")
        if not several and len(counts) < 2:
            raise OneClass(
                f"All rows have the label {examples[0].label!r}; at least 2 labels are needed."
            )
        if len(counts) > MAX_CLASSES or len(counts) > len(examples) / 2:
            raise TooManyClasses(
                f"There are {len(counts)} distinct labels in {len(examples)} rows; is this a "
                "regress task, or the wrong label column?"
            )

    def labels(self, examples: Sequence[Example]) -> list[str]:
        return sorted({label for example in examples for label in self.strata(example)})

    def strata(self, example: Example) -> tuple[str, ...]:
        return example.label if isinstance(example.label, tuple) else (str(example.label),)

    def settings(self, train: Sequence[Example], settings: TrainingSettings) -> dict[str, Any]:
        several = isinstance(train[0].label, tuple)
        threshold = {"threshold": settings.threshold} if several else {}
        return {**super().settings(train, settings), "multi_label": several, **threshold}

    def guesses(
        self,
        rows: Sequence[EncodedRow],
        answers: Sequence[Logits],
        head: dict[str, Any],
        prompter: Prompter,
    ) -> list[Any]:
        del rows, prompter
        names = head["labels"]
        if not head["multi_label"]:
            return [names[int(answer.argmax())] for answer in answers]
        least = float(np.log(head["threshold"]) - np.log1p(-head["threshold"]))
        least *= head.get("temperature", 1.0)
        return [
            tuple(n for n, logit in zip(names, answer.tolist(), strict=True) if logit >= least)
            for answer in answers
        ]

    def loss(self, answer: Logits, row: EncodedRow) -> float | None:
        if isinstance(row.target, list):
            return metrics.binary_cross_entropy(answer, row.target)
        return metrics.cross_entropy(answer, row.target)

    def measure(self, truth: Sequence[Any], guesses: Sequence[Any]) -> Metrics:
        if truth and not isinstance(truth[0], str):
            return metrics.multi_label(truth, guesses)
        return metrics.classification(truth, guesses)


def _as_written(label: Any) -> str:
    """A label as JSON, as a row of the file would have it."""
    text = json.dumps(label, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}…"


def _names(raw: list[Any], where: str, line: int) -> tuple[str, ...]:
    """Sorted. Raises BadLine for a zero or one per class, which would be read as the names 0 and
    1.
    """
    labels = [name(each, where, line) for each in raw]
    if len(labels) > len(set(labels)) and set(labels) <= {"0", "1", "false", "true"}:
        raise BadLine(
            f"{where} is {short_repr(raw)}, which seems to hold a zero or a one for each class; "
            "write a list with the names of the classes that apply.",
            line=line,
        )
    return tuple(sorted(set(labels)))
