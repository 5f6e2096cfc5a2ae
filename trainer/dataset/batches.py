"""Batches of rows: shuffled by (seed, epoch), then grouped by length. Pure; knows only lengths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: batches whose rows are sorted by length together; a larger pool needs less padding, a smaller
#: one shuffles better
POOL_BATCHES = 16


def training_batches(
    lengths: Sequence[int], batch_rows: int, *, seed: int, epoch: int
) -> list[list[int]]:
    """Every row once, as indices. The batches depend only on lengths, seed and epoch."""
    # a counter-based generator carries no state from epoch to epoch
    random = np.random.Generator(np.random.Philox(key=np.array([seed, epoch], np.uint64)))
    order = random.permutation(len(lengths)).tolist()
    pool = batch_rows * POOL_BATCHES
    batches: list[list[int]] = []
    for start in range(0, len(order), pool):
        batches += _cut(sorted(order[start : start + pool], key=lengths.__getitem__), batch_rows)
    return [batches[index] for index in random.permutation(len(batches))]


def prediction_batches(
    lengths: Sequence[int], *, max_rows: int = 64, max_tokens: int = 2048
) -> list[list[int]]:
    """Every row once, grouped by length, in batches so small that serving does not wait long."""
    batches: list[list[int]] = []
    tokens = 0
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if not batches or len(batches[-1]) >= max_rows or tokens + lengths[index] > max_tokens:
            batches.append([])
            tokens = 0
        batches[-1].append(index)
        tokens += lengths[index]
    return batches


def num_batches(num_rows: int, batch_rows: int) -> int:
    """The number of batches of an epoch."""
    pool = batch_rows * POOL_BATCHES
    full, rest = divmod(num_rows, pool)
    return full * POOL_BATCHES + -(-rest // batch_rows)


def _cut(order: list[int], size: int) -> list[list[int]]:
    return [order[start : start + size] for start in range(0, len(order), size)]
