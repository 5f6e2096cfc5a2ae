"""Sampling: from logits and each row's sampling parameters to one token per row.

Knows neither steps nor caches: the input is a matrix of logits and one `RowSampler` per row.
"""

from __future__ import annotations

from engine.generation.sampling.row_sampler import RowSampler
from engine.generation.sampling.sampler import SampledTokens, sample_tokens

__all__ = ["RowSampler", "SampledTokens", "sample_tokens"]
