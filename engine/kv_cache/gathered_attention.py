"""Attention over the blocks of the KV cache, which are gathered into one tensor for each call.

All indices and masks are made once per forward, for every layer. Rows with one new token share one
call per layer; each row that prefills has a call of its own. Knows no adapter.

Shape letters: R rows with one token, H heads (K of keys and values, G of queries to each of those),
T tokens of all rows, L tokens of one row, B blocks of a row, S places a row looks at, D width of a
head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.kv_cache.chunks import Chunk, ChunkRun, chunk_runs, slot_mapping
from engine.kv_cache.pool import BLOCK_TOKENS, KeyValuePool
from engine.ops.packed_attention import View, attend_to

#: rows up to this length share a call, however much shorter some of them are
_SHORT_TOKENS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class _Singles:
    """Rows with one token whose blocks are about as many, and where they stand in the stream."""

    chunks: list[Chunk]
    #: the first of them names the rows
    first: int
    positions_R: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """The blocks to look at, row after row, and what hides some of their places when added."""

    blocks: Tensor
    mask: Tensor


class GatheredKVAttention:
    """Made for one forward of rows in stream order; every layer attends through it."""

    def __init__(self, pool: KeyValuePool, chunks: Sequence[Chunk]) -> None:
        self._pool = pool
        self._slot_mapping_T = self._tensor(slot_mapping(chunks))
        begins = [0, *accumulate(chunk.count for chunk in chunks)]
        self._singles = [
            _Singles(
                chunks=[chunks[i] for i in group],
                first=begins[group[0]],
                positions_R=self._tensor(np.array([begins[i] for i in group], np.int64)),
            )
            for group in _alike_long(chunks)
        ]
        self._runs = chunk_runs(chunks, begins)
        #: by window and first token of the first row
        self._seen: dict[tuple[int | None, int], _Seen] = {}

    def attend(self, layer: int, view: View, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Query [1, H, T, D], key and value [1, K, T, D]; answers [1, T, H, D]."""
        query_THD, key_TKD, value_TKD = (x[0].transpose(0, 1) for x in (query, key, value))
        self._pool.write(layer, self._slot_mapping_T, key_TKD, value_TKD)
        if not self._runs and len(self._singles) == 1:
            return self._attend_singles(layer, view, self._singles[0], query_THD)[None]
        out_THD = torch.empty(query_THD.shape, dtype=query.dtype, device=query.device)
        for singles in self._singles:
            query_RHD = query_THD.index_select(0, singles.positions_R)
            out_THD.index_copy_(
                0, singles.positions_R, self._attend_singles(layer, view, singles, query_RHD)
            )
        for run in self._runs:
            part = slice(run.begin, run.end)
            new = (query_THD[part], key_TKD[part], value_TKD[part])
            out_THD[part] = self._attend_run(layer, view, run, new)
        return out_THD[None]

    def _attend_singles(
        self, layer: int, view: View, singles: _Singles, query_RHD: Tensor
    ) -> Tensor:
        """The queries of one key's group stand as tokens of one head: no key is repeated."""
        seen = self._see(singles.first, singles.chunks, view.window)
        keys, values = self._gather(layer, seen, len(query_RHD))
        query_RKGD = query_RHD.view(len(query_RHD), keys.shape[1], -1, keys.shape[3])
        return attend_to(query_RKGD, keys, values, seen.mask, view.scaling).flatten(1, 2)

    def _attend_run(self, layer: int, view: View, run: ChunkRun, new: Sequence[Tensor]) -> Tensor:
        """[tokens, H, D] of a stretch; rows from their start need nobody's blocks."""
        if not run.chunk.start:
            return view.along(run.num_rows, *new)
        seen = self._see(run.begin, [run.chunk], view.window)
        keys, values = self._gather(layer, seen, 1)
        query_HLD = new[0].transpose(0, 1)
        return attend_to(query_HLD[None], keys, values, seen.mask, view.scaling)[0].transpose(0, 1)

    def _gather(self, layer: int, seen: _Seen, num_rows: int) -> tuple[Tensor, Tensor]:
        """Keys and values [R, K, S, D] of the blocks' [tokens, K, D]."""
        keys, values = (x.index_select(0, seen.blocks) for x in self._pool.blocks[layer])
        shape = (num_rows, -1, *keys.shape[2:])
        return keys.view(shape).transpose(1, 2), values.view(shape).transpose(1, 2)

    def _see(self, begin: int, chunks: Sequence[Chunk], window: int | None) -> _Seen:
        if (window, begin) not in self._seen:
            blocks, hidden = _looked_at(chunks, window)
            mask = torch.zeros(hidden.shape, dtype=self._pool.dtype, device=self._pool.device)
            mask.masked_fill_(self._tensor(hidden), float("-inf"))
            self._seen[window, begin] = _Seen(blocks=self._tensor(blocks), mask=mask)
        return self._seen[window, begin]

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values).to(self._pool.device)


def _alike_long(chunks: Sequence[Chunk]) -> list[list[int]]:
    """Rows with one token, in order of the stream where all are about as long as each other.

    A call looks at as many places of every row as its longest has: beside a very long row short
    ones would copy, layer after layer, what they never read.
    """
    singles = [i for i, chunk in enumerate(chunks) if chunk.count == 1]
    groups: list[list[int]] = []
    widest = 0
    for row in sorted(singles, key=lambda i: chunks[i].start):
        if not groups or chunks[row].start > widest:
            widest = max(2 * chunks[row].start, _SHORT_TOKENS)
            groups.append([])
        groups[-1].append(row)
    return [sorted(group) for group in groups]


def _looked_at(
    chunks: Sequence[Chunk], window: int | None
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The rows' blocks, R times B, and which places their tokens may not see, [R, 1, L, S].

    Rows have one number of new tokens. Blocks before the first token's window are left out.
    """
    firsts = [_first_block(chunk, window) for chunk in chunks]
    ends = [-(-(r.start + r.count) // BLOCK_TOKENS) for r in chunks]
    width = max(end - first for first, end in zip(firsts, ends, strict=True))
    table_RB = np.zeros((len(chunks), width), np.int64)
    for row, (chunk, first, end) in enumerate(zip(chunks, firsts, ends, strict=True)):
        table_RB[row, : end - first] = chunk.blocks[first:end]
    tokens_RL = np.array([r.start for r in chunks])[:, None] + np.arange(chunks[0].count)
    places_RS = np.array(firsts)[:, None] * BLOCK_TOKENS + np.arange(width * BLOCK_TOKENS)
    back_RLS = tokens_RL[:, :, None] - places_RS[:, None, :]
    hidden_RLS = back_RLS < 0
    if window is not None:
        hidden_RLS |= back_RLS >= window
    return table_RB.reshape(-1), hidden_RLS[:, None]


def _first_block(chunk: Chunk, window: int | None) -> int:
    return 0 if window is None else max(0, chunk.start - window + 1) // BLOCK_TOKENS
