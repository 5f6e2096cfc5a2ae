"""Draws tokens at random: temperature, truncation, and one number per row against the row's running
total of weights.

A row is computed from its own logits and its own number, row by row, so the rows that share its
batch change nothing. Tokens are passed in the order of their ids, not of their weights: logits that
the rounding of another batch makes swap places still give the same token.

`uniform` gives the numbers that rows are drawn with: SplitMix64 over a counter (Steele, Lea, Flood
2014), a function of the seed and the position alone. There is no generator whose state a batch, an
order or a row that is read again could change.

Shape letters: S rows that are drawn, V words of the vocabulary, B blocks of words, W words of one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from engine.generation.sampling.truncation import truncate, truncates
from engine.port import Sampling

_BLOCK = 256
#: exp of anything lower is a denormal number, which processors multiply tens of times slower
_LEAST = -80.0
#: below it float32 has no number, and nothing can be divided by 0
_COLDEST = 1e-30
_WORD = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15
#: fewer bits than a float64 has, so that a share of a total always stays below the total
_BITS = 52


def draw_tokens(logits_SV: Tensor, samplings: Sequence[Sampling], draws: Sequence[float]) -> Tensor:
    """[S] tokens. Rows without any finite logit get some token; nobody may read it."""
    device = logits_SV.device
    weights_SBW = _weights(logits_SV, samplings)
    ends_SB = _ends(weights_SBW)
    if any(map(truncates, samplings)):
        words_SV = weights_SBW.flatten(1)[:, : logits_SV.shape[1]]
        truncate(words_SV, ends_SB[:, -1], samplings)
        ends_SB = _ends(weights_SBW)
    draws_S1 = torch.tensor(draws, dtype=torch.float64).to(device)[:, None]
    wanted_S1 = draws_S1 * ends_SB[:, -1:]
    block_S1 = torch.searchsorted(ends_SB, wanted_S1, right=True).clamp(max=ends_SB.shape[1] - 1)
    before_S1 = torch.where(block_S1 > 0, ends_SB.gather(1, (block_S1 - 1).clamp(min=0)), 0)
    place_S1 = block_S1[:, :, None].expand(-1, 1, _BLOCK)
    inside_SW = weights_SBW.gather(1, place_S1)[:, 0].cumsum(-1, dtype=torch.float64)
    word_S1 = torch.searchsorted(inside_SW, wanted_S1 - before_S1, right=True)
    # The block's total was rounded otherwise than its words: the last with a weight is the last.
    last_S1 = torch.searchsorted(inside_SW, inside_SW[:, -1:].contiguous())
    tokens_S1 = block_S1 * _BLOCK + torch.minimum(word_S1, last_S1)
    return tokens_S1[:, 0].clamp(max=logits_SV.shape[1] - 1)


def _weights(logits_SV: Tensor, samplings: Sequence[Sampling]) -> Tensor:
    """Probabilities as shares of the likeliest token's, 0 where it is less than e^-80 of it."""
    num_rows, num_words = logits_SV.shape
    num_blocks = -(-num_words // _BLOCK)
    padded_SV = logits_SV.new_empty(num_rows, num_blocks * _BLOCK)
    padded_SV[:, num_words:] = 0
    weights_SV = padded_SV[:, :num_words]
    heats = torch.tensor([max(s.temperature, _COLDEST) for s in samplings], dtype=torch.float32)
    torch.sub(logits_SV, logits_SV.amax(-1, keepdim=True), out=weights_SV)
    weights_SV.div_(heats.to(logits_SV.device)[:, None]).clamp_(min=_LEAST).exp_()
    torch.threshold_(weights_SV, math.exp(_LEAST + 0.01), 0.0)
    return padded_SV.view(num_rows, num_blocks, _BLOCK)


def _ends(weights_SBW: Tensor) -> Tensor:
    """Running totals at the end of each block."""
    return weights_SBW.sum(-1).cumsum(-1, dtype=torch.float64)


def uniform(seed: int, position: int) -> float:
    """In [0, 1). The seed is mixed first, so that neighbouring seeds share no run of numbers."""
    return (_mix(_mix(seed) + position * _GOLDEN) >> (64 - _BITS)) * 2.0**-_BITS


def _mix(word: int) -> int:
    word = (word + _GOLDEN) & _WORD
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _WORD
    return word ^ (word >> 31)
