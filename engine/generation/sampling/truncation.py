"""Truncation by top-k, top-p and min-p: the smallest weight that a token of a row may have.

Tokens as likely as the last one kept are kept too, as transformers does for top-k, so that the
order of a sort never decides between equally likely tokens.
Shape letters: S rows that are drawn, V words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.port import Sampling

_GROUP = 64


def truncate(weights_SV: Tensor, totals_S: Tensor, samplings: Sequence[Sampling]) -> None:
    """In place: what is cut weighs nothing. Weights are 1 for the likeliest token of a row, and
    0 for what may not be drawn anyway.

    On a processor each row looks only at the tokens that could be kept; on a device, where one
    sort costs less than one answer to the host, all rows are sorted together.
    """
    if weights_SV.is_cuda:
        truncate_sorted(weights_SV, samplings)
        return
    rows = zip(weights_SV.numpy(), totals_S.tolist(), samplings, strict=True)
    for weights_V, total, sampling in rows:
        if truncates(sampling):
            kept_V = weights_V >= _floor(weights_V, total, sampling)
            np.multiply(weights_V, kept_V, out=weights_V)


def truncates(sampling: Sampling) -> bool:
    """Whether any token is left out."""
    return sampling.top_k > 0 or sampling.top_p < 1 or sampling.min_p > 0


# ---------------------------------------------------------------- one row, on a processor


def _floor(weights_V: NDArray[np.float32], total: float, sampling: Sampling) -> float:
    if not total > 0:
        return 0.0  # nothing may be drawn, or its numbers are none: the row fails anyway
    floor = 0.0
    if 0 < sampling.top_k < len(weights_V):
        floor = _kth(weights_V, sampling.top_k)
        weights_V = weights_V[weights_V >= floor]
        total = float(weights_V.sum(dtype=np.float64))
    if sampling.top_p < 1:
        floor = max(floor, _nucleus(weights_V, total, sampling.top_p))
    return max(floor, sampling.min_p)


def _kth(weights_V: NDArray[np.float32], k: int) -> float:
    """The k highest are no lower than the k highest groups are at their highest."""
    num_groups = len(weights_V) // _GROUP
    if num_groups > k:
        # Groups lie across the rows of this square: numpy's max is quick along that axis only.
        highest = weights_V[: num_groups * _GROUP].reshape(_GROUP, num_groups).max(axis=0)
        weights_V = weights_V[weights_V >= np.partition(highest, -k)[-k]]
    return float(np.partition(weights_V, -k)[-k])


def _nucleus(weights_V: NDArray[np.float32], total: float, top_p: float) -> float:
    """The tokens below the even share of what top-p leaves out cannot fill it even together."""
    kept = weights_V[weights_V >= (1 - top_p) * total / len(weights_V)]
    kept.sort()
    falling = kept[::-1]
    reached = int(falling.cumsum(dtype=np.float64).searchsorted(top_p * total))
    return float(falling[min(reached, len(falling) - 1)])


# ---------------------------------------------------------------- all rows, on a device


def truncate_sorted(weights_SV: Tensor, samplings: Sequence[Sampling]) -> None:
    """The same, all rows at once."""
    num_words = weights_SV.shape[1]
    settings = [(min(s.top_k or num_words, num_words) - 1, s.top_p, s.min_p) for s in samplings]
    last, top_p, min_p = torch.tensor(settings, dtype=torch.float64).to(weights_SV.device).T
    falling_SV = weights_SV.sort(dim=-1, descending=True).values
    kth_S1 = falling_SV.gather(1, last.long()[:, None])
    kept_SV = torch.where(falling_SV >= kth_S1, falling_SV, 0)
    reached_SV = kept_SV.cumsum(-1, dtype=torch.float64)
    wanted_S1 = top_p[:, None] * reached_SV[:, -1:]
    place_S1 = torch.searchsorted(reached_SV, wanted_S1).clamp(max=num_words - 1)
    whole = top_p[:, None] >= 1
    nucleus_S1 = torch.where(whole, kth_S1, falling_SV.gather(1, place_S1))
    floors_S1 = torch.maximum(torch.maximum(kth_S1, nucleus_S1), min_p[:, None].to(kth_S1.dtype))
    weights_SV.mul_(weights_SV >= floors_S1)
