"""Attention over the blocks of the KV cache in place, on devices with a kernel for it.

Computes what `GatheredKVAttention` computes, with one kernel for all tokens that attend to blocks,
however different the lengths of their rows are. Knows no adapter.

Shape letters: T tokens of all rows, R rows, B blocks of a row, H heads (K of keys and values), D
width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.kv_cache.chunks import Chunk, ChunkRun, chunk_runs, slot_mapping
from engine.kv_cache.paged_kernel import AttentionMetadata, paged_attention
from engine.kv_cache.pool import KeyValuePool
from engine.ops.packed_attention import View


class PagedKVAttention:
    """Made for one forward; every layer attends through it.

    `looking` names the tokens that look at blocks; None when all of them do.
    """

    def __init__(
        self,
        pool: KeyValuePool,
        places_T: Tensor,
        metadata: AttentionMetadata,
        looking: Tensor | None = None,
        whole: Sequence[ChunkRun] = (),
    ) -> None:
        self._pool, self._places_T, self._looks = pool, places_T, metadata
        self._looking, self._whole = looking, whole

    @classmethod
    def of(cls, pool: KeyValuePool, chunks: Sequence[Chunk]) -> PagedKVAttention:
        """Of rows in stream order."""
        begins = [0, *accumulate(chunk.count for chunk in chunks)]
        whole = [s for s in chunk_runs(chunks, begins) if not s.chunk.start]
        inside = np.zeros(begins[-1], np.bool_)
        for run in whole:
            inside[run.begin : run.end] = True
        rows_T = np.repeat(np.arange(len(chunks)), [chunk.count for chunk in chunks])
        lengths_T = np.concatenate([1 + r.start + np.arange(r.count) for r in chunks])
        metadata = AttentionMetadata(
            tables_RB=_to_device(pool, block_tables(chunks)),
            rows_T=_to_device(pool, rows_T[~inside].astype(np.int64)),
            lengths_T=_to_device(pool, lengths_T[~inside].astype(np.int64)),
        )
        looking = _to_device(pool, np.flatnonzero(~inside)) if whole else None
        return cls(pool, _to_device(pool, slot_mapping(chunks)), metadata, looking, whole)

    def attend(self, layer: int, view: View, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Query [1, H, T, D], key and value [1, K, T, D]; answers [1, T, H, D]."""
        query_THD, key_TKD, value_TKD = (x[0].transpose(0, 1) for x in (query, key, value))
        self._pool.write(layer, self._places_T, key_TKD, value_TKD)
        if self._looking is None:
            return self._look(layer, view, query_THD)[None]
        out_THD = torch.empty(query_THD.shape, dtype=query.dtype, device=query.device)
        if len(self._looking):
            asking_THD = query_THD.index_select(0, self._looking)
            out_THD.index_copy_(0, self._looking, self._look(layer, view, asking_THD))
        for run in self._whole:
            part = slice(run.begin, run.end)
            new = (query_THD[part], key_TKD[part], value_TKD[part])
            out_THD[part] = view.along(run.num_rows, *new)
        return out_THD[None]

    def _look(self, layer: int, view: View, query_THD: Tensor) -> Tensor:
        scale = query_THD.shape[-1] ** -0.5 if view.scaling is None else view.scaling
        keys, values = self._pool.blocks[layer]
        return paged_attention(
            query_THD, keys, values, self._looks, scale=scale, window=view.window
        )


def block_tables(chunks: Sequence[Chunk]) -> NDArray[np.int64]:
    """Every row's blocks in order, [R, B]; where a row has no more stands no block."""
    table_RB = np.zeros((len(chunks), max(len(r.blocks) for r in chunks)), np.int64)
    for row, chunk in zip(table_RB, chunks, strict=True):
        row[: len(chunk.blocks)] = chunk.blocks
    return table_RB


def _to_device(pool: KeyValuePool, values: NDArray[Any]) -> Tensor:
    return torch.from_numpy(values).to(pool.device, non_blocking=True)
