"""Dropout whose numbers are the row's own: drawn by seed, step, row, token and column.

So a row drops the same alone, beside others, and in whatever part of a step it comes. Each token
has a stream of SplitMix64 (Steele, Lea, Flood 2014), sixteen of its bits for each column.

Shape letters: R rows, T tokens, W words of 64 bits, K columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Words = NDArray[np.uint64]

_ALL = 2**64 - 1
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
#: drawn at once: a dropout is called many times with a few columns
_BLOCK = 32


class DropoutStreams:
    """What one step of one training draws. Every `place` where something drops has its own."""

    def __init__(self, seed: int, step: int) -> None:
        self._start = _mix(_mix(_words([seed])) + _words([step]))

    def dropout(
        self, rate: float, place: int, keys: Sequence[int], counts: Sequence[int]
    ) -> KeyedDropout | None:
        """For rows of these keys, so many tokens each, end to end; None where nothing drops."""
        if rate <= 0:
            return None
        rows_R = _mix(_mix(self._start + _words([place])) + _words(keys))
        total = sum(counts)
        starts_R = np.cumsum([0, *counts[:-1]], dtype=np.uint64)
        position_T = np.arange(total, dtype=np.uint64) - np.repeat(starts_R, counts)
        streams_T = _mix(np.repeat(rows_R, counts) ^ (position_T * _FIRST))
        return KeyedDropout(rate, streams_T)


class KeyedDropout:
    """Drops columns of tokens; each call takes the next numbers of the tokens' streams."""

    def __init__(self, rate: float, streams_T: Words) -> None:
        self._rate = rate
        self._streams_T = streams_T
        self._num_words = 0
        self._mask_TK: Tensor | None = None
        self._next = 0

    def __call__(self, x_TK: Tensor) -> Tensor:
        return x_TK * self.mask(x_TK, x_TK.shape[1])

    def mask(self, like: Tensor, width: int) -> Tensor:
        """What so many columns of as many tokens are to be multiplied by."""
        assert len(like) == len(self._streams_T), "dropout was made for other tokens"
        mask_TK = self._mask_TK
        if mask_TK is None or self._next + width > mask_TK.shape[1]:
            mask_TK = self._mask_TK = self._draw_mask(width, like)
            self._next = 0
        start = self._next
        self._next += width
        return mask_TK[:, start : start + width]

    def _draw_mask(self, width: int, like: Tensor) -> Tensor:
        """A mask for at least so many columns: zero, or what keeps the mean."""
        num_words = max(_BLOCK, -(-width // 4))
        counters_W = np.arange(
            self._num_words + 1, self._num_words + 1 + num_words, dtype=np.uint64
        )
        self._num_words += num_words
        bits_TW = _mix(self._streams_T[:, None] + counters_W * _GOLDEN)
        kept_TK = torch.from_numpy(bits_TW.view(np.uint16) >= round(self._rate * 2**16))
        return kept_TK.to(like.device, like.dtype).div_(1 - self._rate)


def _words(numbers: Sequence[int]) -> Words:
    return np.array([number & _ALL for number in numbers], np.uint64)


def _mix(words: Words) -> Words:
    """SplitMix64's output function: every bit of a word changes half of the others."""
    words = (words ^ (words >> np.uint64(30))) * _FIRST
    words = (words ^ (words >> np.uint64(27))) * _SECOND
    mixed: Words = words ^ (words >> np.uint64(31))
    return mixed
