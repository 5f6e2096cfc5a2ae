"""Rows of a question, a context, and the positions of answers in it. Knows no split."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.heads.head import AnswerOptions
from engine.heads.span import SpanHead
from trainer.errors import BadLine, OneClass
from trainer.heads.head_data import Logits, PlainData
from trainer.metrics.metrics import Metrics
from trainer.metrics.squad import answering
from trainer.readers.example import Example
from trainer.readers.fields import field, present, short_repr, text
from trainer.readers.reader import Record

if TYPE_CHECKING:
    from engine.text.prompts import Prompter
    from trainer.heads.encoded import EncodedRow
    from trainer.jobs.values import JobSpec
    from trainer.settings.settings import TrainingSettings


class SpanData(PlainData):
    """If some training rows have no answer, the head may predict that there is none."""

    name = "span"
    metrics: tuple[str, ...] = ("f1",)
    usual_columns: tuple[str, ...] = ("question", "context", "answers")
    baseline: str | None = "tfidf+sentence"

    def example(self, record: Record, spec: JobSpec) -> Example:
        question = text(record, present(record, spec.text_column, "question"))
        column = spec.text_pair_column or "context"
        context = text(record, column)
        answers = present(record, spec.label_column, "answers")
        where = f"{record.place}: {answers}"
        label = tuple(
            _answer(raw, context, where, record.line)
            for raw in _answer_list(field(record, answers), where, record.line)
        )
        impossible = record.fields.get("is_impossible")
        if isinstance(impossible, bool) and impossible == bool(label):
            raise BadLine(
                f"{where} has {len(label)} entries and is_impossible is {str(impossible).lower()}; "
                "correct one of them.",
                line=record.line,
            )
        return Example(line=record.line, text=question, pair=context, label=label)

    def check(self, examples: Sequence[Example]) -> None:
        if not any(example.label for example in examples):
            raise OneClass(f"None of the {len(examples)} rows has an answer.")

    def settings(self, train: Sequence[Example], settings: TrainingSettings) -> dict[str, Any]:
        return {
            "input": "question",
            "window": settings.row_tokens,
            "stride": settings.stride,
            "no_answer": any(not example.label for example in train),
        }

    def guesses(
        self,
        rows: Sequence[EncodedRow],
        answers: Sequence[Logits],
        head: dict[str, Any],
        prompter: Prompter,
    ) -> list[Any]:
        del prompter
        return [
            SpanHead().decode(
                answer, head, row.encodings[0], row.example.pair or "", AnswerOptions()
            )["text"]
            for row, answer in zip(rows, answers, strict=True)
        ]

    def measure(self, truth: Sequence[Any], guesses: Sequence[Any]) -> Metrics:
        return answering([[answer[0] for answer in answers] for answers in truth], guesses)


def _answer_list(raw: Any, where: str, line: int) -> list[Mapping[str, Any]]:
    """The answers from a list of objects, or from SQuAD's object of lists."""
    if isinstance(raw, Mapping):
        columns = [raw.get("text"), raw.get("answer_start", raw.get("start"))]
        if all(isinstance(c, list) for c in columns) and len(columns[0]) == len(columns[1]):
            return [{"text": t, "start": s} for t, s in zip(*columns, strict=True)]
        if isinstance(columns[0], str):
            return [raw]
    if isinstance(raw, list) and all(isinstance(each, Mapping) for each in raw):
        return raw
    raise BadLine(
        f'{where} must be a list of {{"text", "start"}}, not {short_repr(raw)}.', line=line
    )


def _answer(raw: Mapping[str, Any], context: str, where: str, line: int) -> tuple[str, int]:
    answer, start = raw.get("text"), raw.get("start", raw.get("answer_start"))
    if isinstance(start, float) and start.is_integer():
        start = int(start)
    whole = isinstance(start, int) and not isinstance(start, bool) and start >= 0
    if not isinstance(answer, str) or not answer.strip() or not whole:
        raise BadLine(f"{where} needs a text and a start, not {short_repr(dict(raw))}.", line=line)
    actual = context[start : start + len(answer)]
    if actual != answer:
        raise BadLine(
            f"{where} says {short_repr(answer)} starts at character {start}; the context has "
            f"{short_repr(actual)} there{_elsewhere(answer, context, start)}.",
            line=line,
        )
    return answer, start


def _elsewhere(answer: str, context: str, start: int) -> str:
    """The actual position of the answer, and the unit that the start seems to count."""
    places = [match.start() for match in re.finditer(re.escape(answer), context)]
    for place in places:
        before = context[:place]
        for unit, num in (
            ("bytes", len(before.encode())),
            ("UTF-16 units", len(before.encode("utf-16-le")) // 2),
        ):
            if num == start:
                return f"; {start} counts {unit}, in characters it is {place}"
    if not places:
        return ", and does not contain the answer"
    nearest = min(places, key=lambda place: abs(place - start))
    return f", and the answer at {nearest}"
