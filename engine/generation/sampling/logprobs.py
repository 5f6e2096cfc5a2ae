"""Log probabilities of generated tokens and of the most likely alternatives, for rows that request
them.

They are the base's own: computed from raw logits, before bias, penalties, grammar, temperature and
truncation. Shape letters: R rows, Q rows that request them, V words of the vocabulary, N most
likely tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.generation.sampling.row_sampler import RowSampler
from engine.port import TokenLogprob

_BLOCK = 128


def logprobs(
    logits_RV: Tensor, tokens_R: Tensor, samplers: Sequence[RowSampler]
) -> list[TokenLogprob | None]:
    """One for each row, None where it did not ask."""
    asking = [row for row, s in enumerate(samplers) if s.sampling.logprobs >= 0]
    answers: list[TokenLogprob | None] = [None] * len(samplers)
    if not asking:
        return answers
    index_Q = torch.tensor(asking).to(logits_RV.device)
    asked_QV = logits_RV if len(asking) == len(samplers) else logits_RV[index_Q]
    norms_Q1 = asked_QV.logsumexp(-1, keepdim=True)
    chosen_Q = (asked_QV.gather(1, tokens_R[index_Q][:, None]) - norms_Q1)[:, 0].tolist()
    most = min(max(samplers[row].sampling.logprobs for row in asking), logits_RV.shape[1])
    top_QN, words_QN = _top(asked_QV, most)
    values, words = (top_QN - norms_Q1).tolist(), words_QN.tolist()
    for row, chosen, *likeliest in zip(asking, chosen_Q, words, values, strict=True):
        pairs = list(zip(*likeliest, strict=True))[: samplers[row].sampling.logprobs]
        answers[row] = TokenLogprob(logprob=chosen, top=pairs)
    return answers


def _top(logits_QV: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The likeliest tokens are in the blocks with the likeliest single tokens: one pass finds
    these, and little is left to sort.
    """
    num_blocks = logits_QV.shape[1] // _BLOCK
    if num_blocks <= most:
        values, words = logits_QV.topk(most)
        return values, words
    rest = num_blocks * _BLOCK
    heads_QBW = logits_QV[:, :rest].view(len(logits_QV), num_blocks, _BLOCK)
    blocks_QN = heads_QBW.amax(-1).topk(most).indices
    words_Q = blocks_QN[:, :, None] * _BLOCK + torch.arange(_BLOCK, device=logits_QV.device)
    tail = torch.arange(rest, logits_QV.shape[1], device=logits_QV.device)
    words_QC = torch.cat([words_Q.flatten(1), tail.expand(len(logits_QV), -1)], dim=1)
    top = logits_QV.gather(1, words_QC).topk(most)
    return top.values, words_QC.gather(1, top.indices)
