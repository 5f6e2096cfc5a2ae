"""The answers of a version to labelled rows, as the metrics of its head compare them.

Knows heads; neither files nor figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from adapterd.errors import Refused
from adapterd.values import Classification, Output, Relevance, RowError, Tags

if TYPE_CHECKING:
    from adapterd.client.client import Client
    from trainer.readers.example import Example

#: long texts are cut as in training
_OPTIONS: Any = {"truncate": True, "priority": "batch"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledAnswers:
    """The outputs for each row: one, or two where the head embeds the texts of a pair."""

    ref: str
    outputs: Sequence[tuple[Output, ...]]

    def list_errors(self) -> dict[int, RowError]:
        """The rows without an answer, by index."""
        return {
            index: next(output for output in row if isinstance(output, RowError))
            for index, row in enumerate(self.outputs)
            if any(isinstance(output, RowError) for output in row)
        }


def ask_version(
    client: Client, ref: str, head: str, examples: Sequence[Example], *, progress: bool
) -> LabelledAnswers:
    """Sends every row of the file to one version."""
    width = 2 if head == "embed" else 1
    inputs = list(chain.from_iterable(_build_inputs(head, example) for example in examples))
    outputs = iter(list(client.predict_rows(ref, inputs, progress=progress, **_OPTIONS)))
    rows = [tuple(next(outputs) for _ in range(width)) for _ in examples]
    return LabelledAnswers(ref=ref, outputs=rows)


def read_guesses(
    head: str, examples: Sequence[Example], rows: Sequence[tuple[Any, ...]], labels: Sequence[str]
) -> list[Any]:
    """For each row a label, a number, a tag per word, a text, a cosine or a rank."""
    if head == "embed":
        return _compare_embeddings(examples, rows)
    if head == "tag":
        in_bioes = any(label[:2] in ("E-", "S-") for label in labels)
        pairs = zip(examples, rows, strict=True)
        return [_read_tags(example.text, row[0], in_bioes=in_bioes) for example, row in pairs]
    readers: dict[str, Callable[[Any], Any]] = {
        "classify": lambda output: output.labels if output.multi_label else output.label,
        "regress": lambda output: output.value,
        "span": lambda output: output.text,
        "rerank": lambda output: output.score,
        "generate": lambda output: output.text,
    }
    if head not in readers:
        raise Refused(f"This client cannot evaluate the head {head}.")
    return [readers[head](row[0]) for row in rows]


def read_probabilities(
    rows: Sequence[tuple[Output, ...]], labels: Sequence[str]
) -> list[list[float]]:
    """By label, for heads that answer probabilities; else empty."""
    first = [row[0] for row in rows]
    return [
        [output.score] if isinstance(output, Relevance) else [output.scores[n] for n in labels]
        for output in first
        if isinstance(output, Classification | Relevance)
    ]


def _build_inputs(head: str, example: Example) -> list[Any]:
    if example.turns:
        prompt = example.turns[-1].prompt
        beside = {"tools": list(prompt.tools), "chat_template_kwargs": dict(prompt.template_kwargs)}
        conversation = {"messages": list(prompt.messages)}
        return [conversation | {name: part for name, part in beside.items() if part}]
    if head == "embed":
        return [example.text, example.pair]
    if head == "span":
        return [{"question": example.text, "context": example.pair}]
    return [example.text if example.pair is None else (example.text, example.pair)]


def _compare_embeddings(examples: Sequence[Example], rows: Sequence[tuple[Any, ...]]) -> list[Any]:
    from trainer.heads.embed import compare_embeddings

    pairs = [[output.embedding for output in row] for row in rows]
    return compare_embeddings(pairs, is_scored=examples[0].label is not None)


def _read_tags(text: str, output: Tags, *, in_bioes: bool) -> list[str]:
    """One tag for each word of the text; the server answers entities by their characters."""
    from engine.heads.whole_words import word_spans

    words = word_spans(text)
    tags = ["O"] * len(words)
    for entity in output.entities:
        inside = [
            n for n, (start, end) in enumerate(words) if start < entity.end and end > entity.start
        ]
        for place, word in enumerate(inside):
            prefix = "B" if place == 0 else "I"
            if in_bioes and place == len(inside) - 1:
                prefix = "S" if place == 0 else "E"
            tags[word] = f"{prefix}-{entity.label}"
    return tags


def format_number(value: object) -> str:
    """A metric with three digits after the point; an empty text for what is no number."""
    is_number = isinstance(value, int | float) and math.isfinite(value)
    return f"{value:.3f}" if is_number else ""
