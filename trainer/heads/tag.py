"""Rows of words with one tag each. Knows no split."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from engine.heads import tag_scheme
from engine.heads.tag import TagHead
from engine.heads.whole_words import join_words, word_spans
from engine.port import IGNORED
from trainer.errors import BadLine, OneClass
from trainer.heads.head_data import Logits, PlainData
from trainer.metrics.metrics import Metrics, cross_entropy, tagging
from trainer.readers.example import Example
from trainer.readers.fields import present, strings
from trainer.readers.reader import Record

if TYPE_CHECKING:
    from engine.text.prompts import Prompter
    from trainer.heads.encoded import EncodedRow
    from trainer.jobs.values import JobSpec
    from trainer.settings.settings import TrainingSettings


_OTHER_LETTERS = {"L-": "E-", "U-": "S-", "M-": "I-"}


class TagData(PlainData):
    """Tags in BIO or BIOES; BILOU and BMES are converted."""

    name = "tag"
    metrics: tuple[str, ...] = ("f1",)
    usual_columns: tuple[str, ...] = ("tokens", "ner_tags")
    baseline: str | None = "usual-tag-per-word"

    def example(self, record: Record, spec: JobSpec) -> Example:
        words = strings(record, present(record, spec.text_column, "tokens"))
        tags = _as_bioes(strings(record, present(record, spec.label_column, "ner_tags")))
        if len(words) != len(tags):
            raise BadLine(
                f"{record.place} has {len(words)} tokens and {len(tags)} tags; each token needs "
                "one tag.",
                line=record.line,
            )
        for word, tag in zip(words, tags, strict=True):
            if not tag_scheme.is_tag(tag):
                raise BadLine(
                    f"{record.place}: the tag {tag!r} of {word!r} is no tag of BIO (O, B-…, I-…) "
                    "or BIOES (also E-…, S-…).",
                    line=record.line,
                )
        return _example(words, tags, record)

    def check(self, examples: Sequence[Example]) -> None:
        if all(tag == "O" for tag in _tags(examples)):
            raise OneClass(
                f"All tags of all {len(examples)} rows are O; there is nothing to learn."
            )

    def labels(self, examples: Sequence[Example]) -> list[str]:
        return tag_scheme.all_labels(_tags(examples))

    def settings(self, train: Sequence[Example], settings: TrainingSettings) -> dict[str, Any]:
        del train
        return {"input": "text", "window": settings.row_tokens, "stride": settings.stride}

    def guesses(
        self,
        rows: Sequence[EncodedRow],
        answers: Sequence[Logits],
        head: dict[str, Any],
        prompter: Prompter,
    ) -> list[Any]:
        del prompter
        return [
            TagHead().word_tags(answer, head, row.encodings[0], row.example.text)
            for row, answer in zip(rows, answers, strict=True)
        ]

    def loss(self, answer: Logits, row: EncodedRow) -> float | None:
        """The mean over the words of a row with one window; None for longer rows."""
        if len(row.pieces) > 1:
            return None
        pairs = zip(answer, row.target, strict=True)
        losses = [cross_entropy(scores, tag) for scores, tag in pairs if tag != IGNORED]
        return sum(losses) / len(losses) if losses else None

    def measure(self, truth: Sequence[Any], guesses: Sequence[Any]) -> Metrics:
        return tagging(truth, guesses)


def _example(raw_words: Sequence[str], tags: Sequence[str], record: Record) -> Example:
    """Splits the file's words as serving does: one of them may be several words of the text."""
    text, end = join_words(raw_words), 0
    spans = word_spans(text)
    starts = [start for start, _ in spans]
    label: list[str] = []
    for word, tag in zip(raw_words, tags, strict=True):
        end = text.index(word, end) + len(word)
        num = bisect_left(starts, end) - len(label)
        if not num and tag != "O":
            raise BadLine(
                f"{record.place}: {word!r} has the tag {tag}, but contains no visible character.",
                line=record.line,
            )
        label += tag_scheme.spread(tag, num)
    if not spans:
        raise BadLine(f"{record.place} has no word with a visible character.", line=record.line)
    words = tuple(text[start:end] for start, end in spans)
    return Example(line=record.line, text=text, words=words, label=tuple(label))


def _as_bioes(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Converts BILOU's L- and U-, and BMES' M-, to the tags of BIOES."""
    return tuple(_OTHER_LETTERS.get(tag[:2], tag[:2]) + tag[2:] for tag in tags)


def _tags(examples: Sequence[Example]) -> Iterator[str]:
    for example in examples:
        assert isinstance(example.label, tuple)
        yield from example.label
