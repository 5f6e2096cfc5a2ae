"""Which tokens of each row are read after the last layer, and what acts on them alone.

Knows rows and slots; of a head only which tokens it reads.

Shape letters: K tokens that are kept, of all rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from engine.adapters.head_layers import POOLED_TOKEN, TokensRead
from engine.adapters.resident import Placed
from engine.forward.plan import plan_actions
from engine.model.base import Base
from engine.model.batch import Batch
from engine.model.kept_tokens import KeptTokens
from engine.port import Row
from engine.sites.hooks import Action


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRows:
    """The rows of a batch, in its order, with those tokens that somebody reads."""

    batch: Batch
    #: where the tokens are in the stream of the whole batch
    index_K: Tensor
    #: what acts at the modules that get these tokens alone
    actions: Mapping[str, Sequence[Action]]
    part: KeptTokens

    def gets_all(self, path: str) -> bool:
        """Whether a module gets all tokens."""
        return not self.part.covers(path)


def keep_read_tokens(
    base: Base, rows: Sequence[Row], batch: Batch, placed: Mapping[int, Placed]
) -> KeptRows | None:
    """None where all tokens go on: all are read, or the base cannot leave any out. `batch` is made
    of `rows`.
    """
    part = base.kept_tokens
    reads = [_tokens_read(rows[i], placed) for i in batch.order]
    if part is None or not batch.packed or all(tokens == "all" for tokens in reads):
        return None
    places = [_places(*span, tokens) for span, tokens in zip(batch.spans, reads, strict=True)]
    index_K = torch.tensor([i for row in places for i in row], device=batch.ids.device)
    kept = replace(
        batch,
        ids=batch.ids[:, index_K],
        positions=batch.positions[:, index_K],
        type_ids=batch.type_ids[:, index_K],
        lengths=[len(row) for row in places],
    )
    actions = plan_actions(kept, placed, part.covers)
    assert all(map(part.covers, actions)), "an adapter adds what all tokens gave to kept ones"
    return KeptRows(batch=kept, index_K=index_K, actions=actions, part=part)


def _tokens_read(row: Row, placed: Mapping[int, Placed]) -> TokensRead:
    if row.slot in placed:
        return placed[row.slot].head.tokens_read
    return "all" if row.pooling is None else POOLED_TOKEN.get(row.pooling, "all")


def _places(start: int, stop: int, tokens: TokensRead) -> range:
    """Of a row's tokens in the stream, those that are read."""
    if tokens == "all":
        return range(start, stop)
    return range(start, start + 1) if tokens == "first" else range(stop - 1, stop)
