"""One forward of so many rows with one token each, over inputs that always lie in one place.

Shape letters: R rows, B blocks of a row, V words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.generation.cuda_graph import GraphCapture
from engine.generation.persistent_batch import Actions, AdapterGroup
from engine.kv_cache.chunks import Chunk, slot_mapping
from engine.kv_cache.paged_attention import PagedKVAttention, block_tables
from engine.kv_cache.paged_kernel import AttentionMetadata
from engine.kv_cache.pool import KeyValuePool
from engine.model.base import Base
from engine.model.batch import Batch
from engine.ops.fixed_span import NO_SEAT, FixedSpan
from engine.sites.hooks import Sites

Numbers = NDArray[np.int64]
Whole = TypeVar("Whole", Tensor, Numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a forward of one token a row is given; `seats` are the rows', for each bench."""

    ids: Sequence[int]
    readings: Sequence[Chunk]
    seats: Sequence[Sequence[int]]


class GraphForward:
    """Made for `size` rows whose blocks are at most `width`; fewer rows leave the rest idle.

    An idle row reads token 0 into the block that is nobody's.
    """

    def __init__(
        self, base: Base, sites: Sites, pool: KeyValuePool, *, size: int, width: int,
        benches: Sequence[AdapterGroup], actions: Actions,
    ) -> None:  # fmt: skip
        self._base, self._sites, self._pool = base, sites, pool
        self._benches, self._actions, self._size = benches, actions, size
        shapes = [(size,)] * 4 + [(size,)] * len(benches) + [(size, width)]
        total = sum(int(np.prod(shape)) for shape in shapes)
        # one copy carries everything over; it is done before the step's tokens are read back, so
        # the next step may write here
        self._here = torch.zeros(total, dtype=torch.int64, pin_memory=pool.device.type == "cuda")
        self._there = torch.zeros(total, dtype=torch.int64, device=pool.device)
        self._given = _split(self._here.numpy(), shapes)
        self._inputs = _split(self._there, shapes)
        self._rows_R = torch.arange(size, device=pool.device)

    def record(self, recorder: GraphCapture, tokens: Tokens) -> None:
        self._fill(tokens)
        self._replay = recorder.record(self._forward)

    def logits(self, tokens: Tokens) -> Tensor:
        """[rows, V] in the order of the tokens."""
        self._fill(tokens)
        return self._replay()[: len(tokens.ids)]

    def _fill(self, tokens: Tokens) -> None:
        count = len(tokens.ids)
        ids, positions, lands, lengths, *seats, table_RB = self._given
        for numbers in (ids, positions, lands, table_RB):
            numbers[count:] = 0
        lengths[count:] = 1
        starts = np.array([reading.start for reading in tokens.readings])
        ids[:count], positions[:count], lengths[:count] = tokens.ids, starts, starts + 1
        lands[:count] = slot_mapping(tokens.readings)
        for seat_R, given in zip(seats, tokens.seats, strict=True):
            seat_R[:count], seat_R[count:] = given, NO_SEAT
        own_RB = block_tables(tokens.readings)
        table_RB[:count, : own_RB.shape[1]] = own_RB
        self._there.copy_(self._here, non_blocking=True)

    @torch.inference_mode()
    def _forward(self) -> Tensor:
        ids_R, positions_R, lands_R, lengths_R, *seats, table_RB = self._inputs
        for bench, seat_R in zip(self._benches, seats, strict=True):
            assert isinstance(bench.span, FixedSpan)
            bench.span.seat(seat_R)
        batch = Batch(
            ids=ids_R[None], positions=positions_R[None], type_ids=torch.zeros_like(ids_R)[None],
            lengths=[1] * self._size, order=list(range(self._size)), slots=[0] * self._size,
            mask_RL=None,
        )  # fmt: skip
        looks = AttentionMetadata(tables_RB=table_RB, rows_T=self._rows_R, lengths_T=lengths_R)
        lookback = PagedKVAttention(self._pool, lands_R, looks)
        with self._sites.acting(self._actions):
            hidden = self._base.forward(batch, kept=lookback)
        return self._base.vocabulary(hidden[0])


def _split(whole: Whole, shapes: Sequence[tuple[int, ...]]) -> list[Whole]:
    """Views of consecutive parts."""
    parts, start = [], 0
    for shape in shapes:
        stop = start + int(np.prod(shape))
        parts.append(whole[start:stop].reshape(shape))
        start = stop
    return parts
