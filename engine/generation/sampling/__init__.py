"""How rows get their next token: from logits and what each row asked for to one token per row.

Knows neither steps nor caches: rows come as a matrix of logits and one `RowSampler` each.
"""

from __future__ import annotations

from engine.generation.sampling.row_sampler import RowSampler
from engine.generation.sampling.sampler import SampledTokens, sample_tokens

__all__ = ["RowSampler", "SampledTokens", "sample_tokens"]
