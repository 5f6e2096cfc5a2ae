"""Random logits and row samplers for the tests of sampling."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.generation.sampling import RowSampler, SampledTokens, sample_tokens
from engine.port import Sampling


def sampler(prompt: list[int] | None = None, written: list[int] | None = None, **settings):
    row = RowSampler(Sampling(**settings), prompt or [], (), None)
    for token in written or []:
        row.accept(token)
    return row


def random_logits(rows: int, words: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, words, generator=torch.Generator().manual_seed(seed)) * 3


def sample_one(logits: Tensor, row: RowSampler, position: int = 0) -> SampledTokens:
    return sample_tokens(logits[None], [row], [position])
