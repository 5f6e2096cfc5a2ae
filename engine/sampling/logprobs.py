"""Log probabilities of written tokens and of the likeliest beside them, for rows that ask.

They are the base's own: of raw logits, before bias, penalties, grammar, temperature and cuts.
Shape letters: R rows, Q rows that ask, V words of the vocabulary, N the likeliest tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.sampling.row_sampler import RowSampler
from engine.writing import TokenLogprob


def logprobs(
    logits_RV: Tensor, tokens_R: Tensor, samplers: Sequence[RowSampler]
) -> list[TokenLogprob | None]:
    """One for each row, None where it did not ask."""
    asking = [row for row, s in enumerate(samplers) if s.sampling.logprobs >= 0]
    answers: list[TokenLogprob | None] = [None] * len(samplers)
    if not asking:
        return answers
    index_Q = torch.tensor(asking).to(logits_RV.device)
    asked_QV = logits_RV[index_Q]
    norms_Q1 = asked_QV.logsumexp(-1, keepdim=True)
    chosen_Q = (asked_QV.gather(1, tokens_R[index_Q][:, None]) - norms_Q1)[:, 0].tolist()
    most = min(max(samplers[row].sampling.logprobs for row in asking), logits_RV.shape[1])
    top = asked_QV.topk(most)
    values, words = (top.values - norms_Q1).tolist(), top.indices.tolist()
    for row, chosen, *likeliest in zip(asking, chosen_Q, words, values, strict=True):
        pairs = list(zip(*likeliest, strict=True))[: samplers[row].sampling.logprobs]
        answers[row] = TokenLogprob(logprob=chosen, top=pairs)
    return answers
