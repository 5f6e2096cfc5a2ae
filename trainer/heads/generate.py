"""Rows with a text to generate: a prompt and its completion, or a conversation. Knows no token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.heads.generate import parse_number
from trainer.errors import BadLine, OneClass
from trainer.heads.conversations import conversation_row
from trainer.heads.head_data import PlainData
from trainer.metrics.metrics import Metrics, regression, word_f1
from trainer.readers.example import Example
from trainer.readers.fields import field, present, sane, text
from trainer.readers.reader import Record

if TYPE_CHECKING:
    from engine.text.prompts import Prompter
    from trainer.heads.encoded import EncodedRow
    from trainer.jobs.values import JobSpec
    from trainer.settings.settings import TrainingSettings

_MESSAGES, _PROMPT, _COMPLETION = "messages", "prompt", "completion"
#: a text has at most as many tokens as bytes; versions may generate a little more than they learned
_ROOM = 8
_MOST_TOKENS = 1024


class GenerateData(PlainData):
    """Compares generated texts with completions: exactly, by words, and as numbers."""

    name = "generate"
    metrics: tuple[str, ...] = ("explained", "exact_match")
    tie_breaks: tuple[str, ...] = ("word_f1",)
    usual_columns: tuple[str, ...] = (_PROMPT, _COMPLETION, _MESSAGES)
    baseline: str | None = "tfidf+nearest"

    def example(self, record: Record, spec: JobSpec) -> Example:
        column = present(record, present(record, spec.text_column, _PROMPT), _MESSAGES)
        named = present(record, spec.label_column, _COMPLETION)
        # TRL's data sets may have a column `prompt` beside `messages`, with the first of them
        if named not in record.fields and isinstance(record.fields.get(_MESSAGES), list):
            column = _MESSAGES
        if column == _MESSAGES:
            return conversation_row(record, column)
        if isinstance(record.fields.get(column), list):
            return conversation_row(record, column, named if named in record.fields else None)
        label = field(record, named)
        where = f"{record.place}: {named}"
        if isinstance(label, bool) or not isinstance(label, str | int | float):
            raise BadLine(f"{where} must be the text to generate.", line=record.line)
        if isinstance(label, float) and not math.isfinite(label):
            raise BadLine(f"{where} is {label}; a finite number is needed.", line=record.line)
        if not str(label).strip():
            raise BadLine(f"{where} is empty.", line=record.line)
        completion = sane(str(label), where, record.line)
        return Example(line=record.line, text=text(record, column), label=completion)

    def check(self, examples: Sequence[Example]) -> None:
        if len({example.label for example in examples}) < 2:
            raise OneClass("All rows have the same completion; there is nothing to learn.")

    def settings(self, train: Sequence[Example], settings: TrainingSettings) -> dict[str, Any]:
        del settings
        longest = max(len(str(row.label).encode()) for row in train)
        learned: dict[str, Any] = {"max_tokens": min(longest + _ROOM, _MOST_TOKENS)}
        if all(parse_number(str(row.label)) is not None for row in train):
            learned["parse"] = "number"
        return learned

    def guesses(
        self,
        rows: Sequence[EncodedRow],
        answers: Sequence[list[int]],
        head: dict[str, Any],
        prompter: Prompter,
    ) -> list[Any]:
        del rows, head
        return [prompter.text(tokens) for tokens in answers]

    def measure(self, truth: Sequence[Any], guesses: Sequence[Any]) -> Metrics:
        pairs = [(str(t).strip(), str(g).strip()) for t, g in zip(truth, guesses, strict=True)]
        numbers = [(parse_number(t), parse_number(g)) for t, g in pairs]
        scores: Metrics = {
            "exact_match": _mean([t == g for t, g in pairs]),
            "word_f1": _mean([word_f1(t.split(), g.split()) for t, g in pairs]),
        }
        if not pairs or any(t is None for t, _ in numbers):
            return scores
        read = [(t, g) for t, g in numbers if t is not None and g is not None]
        scores["numbers_read"] = len(read) / len(numbers)
        scores |= _explained_variance([(t, g) for t, g in numbers if t is not None])
        if read:
            scores |= regression([t for t, _ in read], [g for _, g in read])
        return scores


def _explained_variance(numbers: Sequence[tuple[float, float | None]]) -> Metrics:
    """The share of the values' variance that the answers explain (R squared), at least -1.

    An answer without a number counts as twice the variance, so that answers without any number
    score worst: an epoch that generates one number everywhere is better than one without numbers.
    """
    mean = _mean([t for t, _ in numbers])
    spread = sum((t - mean) * (t - mean) for t, _ in numbers)
    if not spread:
        return {}
    # a product overflows to infinity where a power would raise
    missed = sum((t - g) * (t - g) for t, g in numbers if g is not None)
    unread = 2 * sum(g is None for _, g in numbers) / len(numbers)
    return {"explained": max(-1.0, 1 - missed / spread - unread)}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
