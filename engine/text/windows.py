"""Splits a text longer than the base's context into overlapping rows, and merges their answers.

Pure: token positions and arrays; knows no tokenizer and no head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: fewer tokens of text than this in each row, and the text is better called too long
MIN_ROOM = 8
_MIN_TOKENS = 16

Logits = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """How to cut: `tokens` a row, special tokens included, of which neighbours share `stride`.

    None leaves the choice to the base's limit and a quarter of the room for text.
    """

    tokens: int | None = None
    stride: int | None = None


def window_problem(tokens: object, stride: object) -> str | None:
    """What is wrong with settings of these names, whatever the base."""
    for name, value, least in (("window", tokens, _MIN_TOKENS), ("stride", stride, 0)):
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int) or value < least
        ):
            return f"{name} is {value!r}; it must be a whole number of at least {least}"
    if isinstance(tokens, int) and isinstance(stride, int) and stride > (tokens - MIN_ROOM) // 2:
        return (
            f"windows of {tokens} tokens cannot share a stride of {stride}; "
            f"at most {(tokens - MIN_ROOM) // 2} fit"
        )
    return None


def cut(
    segments: Sequence[int | None], limit: int, stride: int | None = None
) -> list[list[int]] | None:
    """The token positions of each row: everything else, and a stretch of the last segment.

    None when what surrounds that segment leaves too little room for it.
    """
    last = max((segment for segment in segments if segment is not None), default=0)
    text = [i for i, segment in enumerate(segments) if segment == last]
    room = limit - (len(segments) - len(text))
    shared = room // 4 if stride is None else stride
    if room < max(MIN_ROOM, 2 * shared):
        return None
    before, after = list(range(text[0])), list(range(text[-1] + 1, len(segments)))
    step = room - shared
    starts = range(0, max(1, len(text) - shared), step)
    return [[*before, *text[start : start + room], *after] for start in starts]


def merge_tokens(parts: Sequence[Logits], windows: Sequence[Sequence[int]]) -> Logits:
    """Each token's logits from the row where it has most context on its shorter side.

    A side where the text itself begins or ends lacks nothing.
    """
    num_tokens = max(window[-1] for window in windows) + 1
    best = np.full(num_tokens, -np.inf)
    merged = np.zeros((num_tokens, parts[0].shape[1]), np.float32)
    for number, (part, window) in enumerate(zip(parts, windows, strict=True)):
        where = np.asarray(window)
        context = _context(len(window), number == 0, number == len(windows) - 1)
        better = context > best[where]
        best[where[better]] = context[better]
        merged[where[better]] = part[better]
    return merged


def _context(length: int, is_first: bool, is_last: bool) -> NDArray[np.float64]:
    position = np.arange(length, dtype=np.float64)
    left = np.full(length, np.inf) if is_first else position
    right = np.full(length, np.inf) if is_last else length - 1 - position
    nearer: NDArray[np.float64] = np.minimum(left, right)
    return nearer
