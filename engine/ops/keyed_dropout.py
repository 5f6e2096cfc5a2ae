"""Dropout whose numbers are the row's own: drawn by seed, step, row, token and column.

So a row drops the same alone, beside others, in whatever part of a step it comes and on whatever
device. Each token has a stream of SplitMix64 (Steele, Lea, Flood 2014), sixteen of its bits for
each column. They are drawn where they are used, in the same integers: on a CPU by NumPy, whose
loops take 0.6 of the time of PyTorch's, else by PyTorch.

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
        self._device_streams_T: Tensor | None = None
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
        num_words, first = max(_BLOCK, -(-width // 4)), self._num_words + 1
        self._num_words += num_words
        threshold = round(self._rate * 2**16)
        if like.device.type == "cpu":
            kept_TK = torch.from_numpy(draw_on_host(self._streams_T, first, num_words, threshold))
        else:
            if self._device_streams_T is None:
                self._device_streams_T = _to_device(self._streams_T, like.device)
            kept_TK = draw_on_device(self._device_streams_T, first, num_words, threshold)
        return kept_TK.to(like.dtype).div_(1 - self._rate)


def draw_on_host(streams_T: Words, first: int, num_words: int, threshold: int) -> NDArray[np.bool_]:
    """Which columns are kept, four for each of the streams' words from `first` on."""
    counters_W = np.arange(first, first + num_words, dtype=np.uint64)
    bits_TW = _mix(streams_T[:, None] + counters_W * _GOLDEN)
    return bits_TW.view(np.uint16) >= threshold


def draw_on_device(streams_T: Tensor, first: int, num_words: int, threshold: int) -> Tensor:
    """As `draw_on_host`, in int64: sums and products wrap around as those of unsigned words."""
    counters_W = torch.arange(first, first + num_words, device=streams_T.device)
    bits_TW = _mix_int64(streams_T[:, None] + counters_W * _as_int64(_GOLDEN))
    # with every part's sign turned over, parts compare as unsigned ones do
    parts_TK = (bits_TW ^ _as_int64(np.uint64(0x8000800080008000))).view(torch.int16)
    # a float, since the largest threshold is no int16
    return parts_TK >= float(threshold - 2**15)


def _to_device(streams_T: Words, device: torch.device) -> Tensor:
    host_T = torch.from_numpy(streams_T.view(np.int64))
    # from pinned memory the copy waits for nothing
    host_T = host_T.pin_memory() if device.type == "cuda" else host_T
    return host_T.to(device, non_blocking=True)


def _words(numbers: Sequence[int]) -> Words:
    return np.array([number & _ALL for number in numbers], np.uint64)


def _mix(words: Words) -> Words:
    """SplitMix64's output function: every bit of a word changes half of the others."""
    words = (words ^ (words >> np.uint64(30))) * _FIRST
    words = (words ^ (words >> np.uint64(27))) * _SECOND
    mixed: Words = words ^ (words >> np.uint64(31))
    return mixed


def _mix_int64(words: Tensor) -> Tensor:
    """`_mix`. A shift of int64 repeats the sign, where one of unsigned words puts zeros."""
    words = (words ^ ((words >> 30) & 2**34 - 1)) * _as_int64(_FIRST)
    words = (words ^ ((words >> 27) & 2**37 - 1)) * _as_int64(_SECOND)
    return words ^ ((words >> 31) & 2**33 - 1)


def _as_int64(word: np.uint64) -> int:
    """The int64 of the same bits."""
    return int(word.astype(np.int64))
