"""How rows get their next token: from logits and what each row asked for to one token per row.

Knows neither steps nor caches: rows come as a matrix of logits and one `RowSampler` each.
"""

from __future__ import annotations

from engine.sampling.chosen import Chosen, choose
from engine.sampling.row_sampler import RowSampler

__all__ = ["Chosen", "RowSampler", "choose"]
