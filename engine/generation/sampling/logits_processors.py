"""Applies a row's logit bias, penalties and grammar to its logits, in this order.

Shape letters: R rows, V words of the vocabulary, N pairs of a row and a word, G rows that have a
grammar, B bytes of a mask.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.generation.sampling.row_sampler import RowSampler, TokenCounts


def apply_logits_processors(logits_RV: Tensor, samplers: Sequence[RowSampler]) -> None:
    """In place. What a grammar rules out becomes -inf."""
    _add_biases(logits_RV, samplers)
    _penalise(logits_RV, samplers)
    _mask(logits_RV, samplers)


def _add_biases(logits_RV: Tensor, samplers: Sequence[RowSampler]) -> None:
    biased = [(row, s) for row, s in enumerate(samplers) if len(s.bias_ids)]
    if not biased:
        return
    at = _places(logits_RV, [(row, s.bias_ids) for row, s in biased])
    logits_RV[at] += _on(logits_RV, np.concatenate([s.biases for _, s in biased]))


def _penalise(logits_RV: Tensor, samplers: Sequence[RowSampler]) -> None:
    """CTRL's for all that was seen; OpenAI's for what was written."""
    seen: list[tuple[int, TokenCounts]] = [
        (row, counts)
        for row, sampler in enumerate(samplers)
        if (counts := sampler.token_counts) is not None and len(counts.ids)
    ]
    if not seen:
        return
    at = _places(logits_RV, [(row, s.ids) for row, s in seen])
    of_rows = np.array([_penalties(samplers[row]) for row, _ in seen], dtype=np.float32).repeat(
        [len(s.ids) for _, s in seen], axis=0
    )
    repetition_N, presence_N, frequency_N = _on(logits_RV, of_rows.T.copy())
    counts_N = _on(logits_RV, np.concatenate([s.counts for _, s in seen]))
    old_N = logits_RV[at]
    new_N = torch.where(old_N > 0, old_N / repetition_N, old_N * repetition_N)
    new_N = new_N - frequency_N * counts_N - presence_N * (counts_N > 0)
    logits_RV[at] = new_N


def _penalties(sampler: RowSampler) -> tuple[float, float, float]:
    sampling = sampler.sampling
    return (sampling.repetition_penalty, sampling.presence_penalty, sampling.frequency_penalty)


def _mask(logits_RV: Tensor, samplers: Sequence[RowSampler]) -> None:
    rows = [row for row, s in enumerate(samplers) if s.constraint is not None]
    if not rows:
        return
    num_words = logits_RV.shape[1]
    masks_GB = np.zeros((len(rows), -(-num_words // 32) * 4), dtype=np.uint8)
    for mask_B, row in zip(masks_GB, rows, strict=True):
        constraint = samplers[row].constraint
        assert constraint is not None
        constraint.allow(mask_B)
    allowed_GV = np.unpackbits(masks_GB, axis=1, count=num_words, bitorder="little")
    # Row by row and in place: to take the rows out and put them back would cost twice as much.
    for ruled_out_V, row in zip(_on(logits_RV, allowed_GV == 0), rows, strict=True):
        logits_RV[row].masked_fill_(ruled_out_V, float("-inf"))


def _places(
    like: Tensor, ids_of_rows: Sequence[tuple[int, NDArray[np.int64]]]
) -> tuple[Tensor, Tensor]:
    """Row and word of each pair; no pair comes twice."""
    rows_N = np.array([row for row, _ in ids_of_rows]).repeat([len(i) for _, i in ids_of_rows])
    words_N = np.concatenate([ids for _, ids in ids_of_rows])
    return _on(like, rows_N), _on(like, words_N)


def _on(like: Tensor, array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(array).to(like.device, non_blocking=True)
