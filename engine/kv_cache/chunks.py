"""The tokens of a sequence in one forward, and which neighbours one call of attention computes.

Plain numbers: knows no tensor and no device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from engine.kv_cache.pool import BLOCK_TOKENS


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A row's tokens in a forward: so many from `start` on, and blocks with room for all of it."""

    blocks: Sequence[int]
    start: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkRun:
    """Tokens of the stream: rows of one length from their start on, or one row that reads on."""

    begin: int
    end: int
    num_rows: int
    chunk: Chunk


def slot_mapping(chunks: Sequence[Chunk]) -> NDArray[np.int64]:
    """Where in the pool each token's own key and value go, block after block."""
    slots = []
    for chunk in chunks:
        for at in range(chunk.start, chunk.start + chunk.count):
            block, place = divmod(at, BLOCK_TOKENS)
            slots.append(chunk.blocks[block] * BLOCK_TOKENS + place)
    return np.array(slots, np.int64)


def chunk_runs(chunks: Sequence[Chunk], begins: Sequence[int]) -> list[ChunkRun]:
    """Neighbours of equal length that read from their start go through one call; rows with one
    token are in none.
    """
    runs = []
    for _, run in groupby(range(len(chunks)), key=lambda i: _alike(chunks[i], i)):
        rows = list(run)
        if chunks[rows[0]].count > 1:
            begin, end = begins[rows[0]], begins[rows[-1] + 1]
            runs.append(ChunkRun(begin=begin, end=end, num_rows=len(rows), chunk=chunks[rows[0]]))
    return runs


def _alike(chunk: Chunk, index: int) -> tuple[int, int]:
    """The same for rows that one call attends; a row that is read on is like no other."""
    return (chunk.count, -1 if not chunk.start else index)
