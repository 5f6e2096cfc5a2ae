"""Encodes examples as rows of the engine: token ids and targets. Knows the tokenizer and the head;
no split, no step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from engine.heads import PREDICTION_HEADS, find_head
from engine.heads.head import windows_of
from engine.text.tokenizer import Encoding, Tokenizer
from engine.text.windows import Windows
from trainer.heads import HEAD_DATA
from trainer.heads.encoded import EncodedRow, Piece
from trainer.readers.example import Example
from trainer.settings.settings import TrainingSettings

_CHUNK = 512


def head_for(
    kind: str,
    pooling: str,
    labels: list[str],
    train: list[Example],
    settings: TrainingSettings | None = None,
) -> dict[str, Any]:
    """The head's settings, including those that follow from the data: labels, mean and standard
    deviation of the values, type of input.
    """
    learned = HEAD_DATA[kind].settings(train, settings or TrainingSettings())
    head = {"kind": kind, "pooling": pooling, "labels": labels, **learned}
    return find_head(head).check(head)


def encode_examples(
    examples: list[Example], head: dict[str, Any], tokenizer: Tokenizer, max_tokens: int | None
) -> list[EncodedRow]:
    """In order. Raises the engine's BadAdapter for a label that the head lacks."""
    encoded: list[EncodedRow] = []
    windows = windows_of(head)
    if windows is not None and max_tokens is not None:
        windows = replace(windows, tokens=min(max_tokens, windows.tokens or max_tokens))
    for start in range(0, len(examples), _CHUNK):  # so that not all encodings exist twice
        chunk = examples[start : start + _CHUNK]
        for example, encodings in zip(
            chunk, _encodings(chunk, head, tokenizer, max_tokens, windows), strict=True
        ):
            encoded.append(_encode(example, encodings, head))
    return encoded


def _encode(example: Example, encodings: tuple[Encoding, ...], head: dict[str, Any]) -> EncodedRow:
    kind = PREDICTION_HEADS[head["kind"]]
    rows = [row for encoding in encodings for row in encoding.rows]
    targets = kind.targets(_label(example), encodings, head)
    one_text = example.pair is None or kind.trains_apart
    pieces = tuple(
        Piece(ids=ids, type_ids=None if one_text else type_ids, target=target)
        for (ids, type_ids), target in zip(rows, targets, strict=True)
    )
    return EncodedRow(
        pieces=pieces,
        example=example,
        truncated=any(encoding.truncated for encoding in encodings),
        encodings=encodings if kind.per_token else (),
    )


def _label(example: Example) -> Any:
    if example.words:
        return example.text, example.label
    return list(example.label) if isinstance(example.label, tuple) else example.label


def _encodings(
    chunk: Sequence[Example],
    head: dict[str, Any],
    tokenizer: Tokenizer,
    limit: int | None,
    windows: Windows | None,
) -> Iterator[tuple[Encoding, ...]]:
    """One encoding per example, or one per text for heads that encode the texts apart."""
    if find_head(head).trains_apart:
        left = tokenizer.encode_batch([each.text for each in chunk], limit)
        right = tokenizer.encode_batch([each.pair or "" for each in chunk], limit)
        yield from zip(left, right, strict=True)
    else:
        inputs = [each.text if each.pair is None else (each.text, each.pair) for each in chunk]
        for encoding in tokenizer.encode_batch(inputs, limit, windows):
            yield (encoding,)
