"""Rows of one text under several adapters: the layers below the lowest adapted one run once.

Shape letters: T tokens of one row, D hidden width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from engine.adapters.resident import Placed
from engine.forward.forward import acting_adapters, make_batch
from engine.forward.kept_rows import keep_read_tokens
from engine.forward.predict_graphs import PredictGraphs
from engine.forward.prefix import CachedRows
from engine.model.base import Base
from engine.model.batch import Batch, repack, unpack
from engine.port import Row
from engine.sites.hooks import Sites

#: building and entering a second batch must buy at least this part of the forward
_WORTH_IT = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedTrunk:
    """The first `depth` layers of some rows: those of one text, bare, stand for one another."""

    depth: int
    rows: list[Row]
    #: row of the batch -> its row here
    sources: list[int]


def hidden_rows(
    base: Base,
    sites: Sites,
    rows: Sequence[Row],
    batch: Batch,
    placed: Mapping[int, Placed],
    cached: CachedRows | None = None,
    graphs: PredictGraphs | None = None,
) -> list[Tensor]:
    """Final hidden states, one [tokens, D] per row in the order of `batch`, made of `rows`: of the
    tokens that are read.

    Starts at what is known of them, unless a trunk would be found without it: a training's answers
    must be its version's, bit for bit.
    """
    trunk = find_trunk(base, rows, placed)
    depth, hidden = 0, None
    if trunk is not None:
        depth, hidden = trunk.depth, _run_trunk(base, sites, trunk, batch, placed)
    elif cached is not None and (filled := cached.lookup(batch)) is not None:
        depth, hidden = cached.prefix.boundary, filled
    final = graphs.run(batch, placed) if depth == 0 and graphs is not None else None
    if final is not None:
        return unpack(final, batch)
    kept = None if depth == base.num_layers else keep_read_tokens(base, rows, batch, placed)
    with acting_adapters(base, sites, batch, placed, kept=kept):
        kept_K = None if kept is None else kept.index_K
        final = base.run_layers(batch, depth, base.num_layers, hidden, kept_K)
    return unpack(final, batch if kept is None else kept.batch)


def find_trunk(base: Base, rows: Sequence[Row], placed: Mapping[int, Placed]) -> SharedTrunk | None:
    """The trunk that saves most; none where no text comes twice or too little is saved."""
    texts = [(row.tokens, row.types) for row in rows]
    if not base.family.ranged or len(set(texts)) == len(texts):
        return None
    firsts = [placed[r.slot].first_layer if r.slot in placed else base.num_layers for r in rows]
    trunks = [_trunk(rows, texts, firsts, depth) for depth in sorted(set(firsts) - {0})]
    total = base.num_layers * _num_tokens(rows)
    saved = {t.depth: t.depth * (_num_tokens(rows) - _num_tokens(t.rows)) for t in trunks}
    best = max(trunks, key=lambda trunk: saved[trunk.depth], default=None)
    return best if best is not None and saved[best.depth] >= _WORTH_IT * total else None


def _trunk(
    rows: Sequence[Row], texts: Sequence[tuple[object, ...]], firsts: Sequence[int], depth: int
) -> SharedTrunk:
    """Rows adapted only from `depth` on share; the others keep their own adapters below it."""
    own: list[Row] = []
    sources: list[int] = []
    shared: dict[tuple[object, ...], int] = {}
    for row, text, first in zip(rows, texts, firsts, strict=True):
        if first >= depth and text in shared:
            sources.append(shared[text])
            continue
        sources.append(len(own))
        if first >= depth:
            shared[text] = len(own)
            row = Row(tokens=row.tokens, types=row.types)
        own.append(row)
    return SharedTrunk(depth=depth, rows=own, sources=sources)


def _run_trunk(
    base: Base, sites: Sites, trunk: SharedTrunk, batch: Batch, placed: Mapping[int, Placed]
) -> Tensor:
    """What enters layer `depth` of the whole batch."""
    below = make_batch(base, trunk.rows, placed)
    with acting_adapters(base, sites, below, placed):
        hidden = unpack(base.run_layers(below, 0, trunk.depth), below)
    by_row = dict(zip(below.order, hidden, strict=True))
    return repack([by_row[trunk.sources[row]] for row in batch.order], batch)


def _num_tokens(rows: Sequence[Row]) -> int:
    return sum(row.num_tokens for row in rows)
