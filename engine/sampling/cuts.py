"""Where top-k, top-p and min-p cut: the least weight that a token of a row may have.

Tokens as likely as the last one that is kept are kept too, as top-k does in transformers: a cut
never parts what the base finds equally likely, so that no order of sorting decides.
Shape letters: S rows that are drawn, V words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.writing import Sampling


def floors(weights_SV: Tensor, totals_S: Tensor, samplings: Sequence[Sampling]) -> Tensor:
    """[S, 1]. Weights are not negative and 1 at most, which the likeliest token has.

    On a processor each row looks only at the tokens that could be kept; on a device, where one
    sort costs less than one answer to the host, all rows are sorted together.
    """
    if weights_SV.is_cuda:
        return sorted_floors(weights_SV, samplings)
    rows = zip(weights_SV.numpy(), totals_S.tolist(), samplings, strict=True)
    found = [_floor(weights_V, total, sampling) for weights_V, total, sampling in rows]
    return torch.tensor(found, dtype=weights_SV.dtype)[:, None]


def cuts(sampling: Sampling) -> bool:
    """Whether any token is left out."""
    return sampling.top_k > 0 or sampling.top_p < 1 or sampling.min_p > 0


# ---------------------------------------------------------------- one row, on a processor


def _floor(weights_V: NDArray[np.float32], total: float, sampling: Sampling) -> float:
    floor = sampling.min_p
    if not total > 0:
        return floor  # nothing may be chosen, or its numbers are none: the row fails anyway
    if 0 < sampling.top_k < len(weights_V):
        kth = len(weights_V) - sampling.top_k
        floor = max(floor, float(np.partition(weights_V, kth)[kth]))
    if sampling.top_p < 1:
        floor = max(floor, _nucleus(weights_V, total, sampling))
    return floor


def _nucleus(weights_V: NDArray[np.float32], total: float, sampling: Sampling) -> float:
    """The tokens below the even share of what top-p leaves out cannot fill it even together."""
    top_k = sampling.top_k or len(weights_V)
    if top_k < len(weights_V):
        kept = weights_V[weights_V >= np.partition(weights_V, -top_k)[-top_k]]
        total = float(kept.sum(dtype=np.float64))
    else:
        kept = weights_V[weights_V >= (1 - sampling.top_p) * total / len(weights_V)]
    kept.sort()
    falling = kept[::-1]
    reached = int(falling.cumsum(dtype=np.float64).searchsorted(sampling.top_p * total))
    return float(falling[min(reached, len(falling) - 1)])


# ---------------------------------------------------------------- all rows, on a device


def sorted_floors(weights_SV: Tensor, samplings: Sequence[Sampling]) -> Tensor:
    """The same of all rows at once."""
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
    return torch.maximum(torch.maximum(kth_S1, nucleus_S1), min_p[:, None].to(kth_S1.dtype))
