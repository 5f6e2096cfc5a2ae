"""Examples to rows the engine takes: token ids and targets. Knows the tokenizer and the head; no
split, no step.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.heads import head_kind
from engine.port import Row
from engine.tokenizer import Encoding, Tokenizer
from trainer.dataset import Example

_CHUNK = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedRow:
    """One example as tokens. `encoding` is kept where an answer must be read off per token."""

    ids: list[int]
    type_ids: list[int] | None
    target: Any
    example: Example
    truncated: bool
    encoding: Encoding | None

    def row(self, slot: int) -> Row:
        return Row(ids=self.ids, type_ids=self.type_ids, slot=slot)


def head_for(kind: str, pooling: str, labels: list[str], train: list[Example]) -> dict[str, Any]:
    """The head's settings, with what only the data knows: its labels, or the mean and spread of its
    values.
    """
    head: dict[str, Any] = {"kind": kind, "pooling": pooling}
    if kind == "regress":
        values = [float(row.label) for row in train if isinstance(row.label, float)]
        # values that hardly differ would otherwise be blown up beyond float32
        head |= {"mean": statistics.fmean(values), "std": max(statistics.pstdev(values), 1e-6)}
    else:
        head["labels"] = labels
    return head_kind(head).check(head)


def encode_examples(
    examples: list[Example], head: dict[str, Any], tokenizer: Tokenizer, max_tokens: int | None
) -> list[EncodedRow]:
    """In order. Raises the engine's BadAdapter for a label that the head does not have."""
    kind = head_kind(head)
    return [
        EncodedRow(
            ids=encoding.ids,
            type_ids=encoding.type_ids if example.pair is not None else None,
            target=kind.target(_label(example), encoding, head),
            example=example,
            truncated=encoding.truncated,
            encoding=encoding if kind.per_token else None,
        )
        for example, encoding in zip(
            examples, _encodings(examples, tokenizer, max_tokens), strict=True
        )
    ]


def _label(example: Example) -> Any:
    return list(example.label) if isinstance(example.label, tuple) else example.label


def _encodings(
    examples: list[Example], tokenizer: Tokenizer, limit: int | None
) -> Iterator[Encoding]:
    """In chunks, so that no single call holds every encoding twice."""
    for start in range(0, len(examples), _CHUNK):
        chunk = examples[start : start + _CHUNK]
        if chunk[0].words:
            yield from (tokenizer.encode_words(each.words, limit) for each in chunk)
        else:
            inputs = [each.text if each.pair is None else (each.text, each.pair) for each in chunk]
            yield from tokenizer.encode_batch(inputs, limit)
