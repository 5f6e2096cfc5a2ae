"""One forward of a fixed number of rows with one token each, over inputs at fixed addresses.

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

from engine.adapters.slot_pool import SlotGroup
from engine.forward.plan import Actions, merge_actions, plan_group
from engine.kv_cache.chunks import Chunk, slot_mapping
from engine.kv_cache.paged_attention import PagedKVAttention, block_tables
from engine.kv_cache.paged_kernel import AttentionMetadata
from engine.kv_cache.pool import KeyValuePool
from engine.model.base import Base
from engine.model.batch import Batch
from engine.ops.cuda_graph import GraphCapture
from engine.ops.grouped_product import GatheredProduct
from engine.ops.segments import FixedSegments
from engine.sites.hooks import Sites

Numbers = NDArray[np.int64]
Whole = TypeVar("Whole", Tensor, Numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The input of a forward with one token per row, and each row's adapter slot."""

    ids: Sequence[int]
    chunks: Sequence[Chunk]
    adapter_slots: Sequence[int]


class GraphForward:
    """Captured for `size` rows with at most `width` blocks each; with fewer rows the rest are idle.

    An idle row writes token 0 into the block that belongs to no sequence.
    """

    def __init__(
        self,
        base: Base,
        sites: Sites,
        pool: KeyValuePool,
        *,
        size: int,
        width: int,
        groups: Sequence[SlotGroup],
    ) -> None:
        """`groups` are those whose adapters the rows may have."""
        self._base, self._sites, self._pool, self._size = base, sites, pool, size
        shapes = [(size,)] * 5 + [(size, width)]
        total = sum(int(np.prod(shape)) for shape in shapes)
        # one copy carries everything over; it is done before the step's tokens are read back, so
        # the next step may write here
        self._host = torch.zeros(total, dtype=torch.int64, pin_memory=pool.device.type == "cuda")
        self._device = torch.zeros(total, dtype=torch.int64, device=pool.device)
        self._host_views = _split(self._host.numpy(), shapes)
        self._device_views = _split(self._device, shapes)
        self._rows_R = torch.arange(size, device=pool.device)
        segments, product = FixedSegments(self._device_views[4]), GatheredProduct()
        self._actions: Actions = {}
        for group in groups:
            merge_actions(self._actions, plan_group(group, segments, product))

    def capture(self, capture: GraphCapture, tokens: Tokens) -> None:
        self._fill(tokens)
        self._replay = capture.capture(self._forward)

    def logits(self, tokens: Tokens) -> Tensor:
        """[rows, V] in the order of the tokens."""
        self._fill(tokens)
        return self._replay()[: len(tokens.ids)]

    def _fill(self, tokens: Tokens) -> None:
        count = len(tokens.ids)
        ids, positions, slots, lengths, adapter_slots, table_RB = self._host_views
        for numbers in (ids, positions, slots, adapter_slots, table_RB):
            numbers[count:] = 0
        lengths[count:] = 1
        starts = np.array([chunk.start for chunk in tokens.chunks])
        ids[:count], positions[:count], lengths[:count] = tokens.ids, starts, starts + 1
        slots[:count] = slot_mapping(tokens.chunks)
        adapter_slots[:count] = tokens.adapter_slots
        own_RB = block_tables(tokens.chunks)
        table_RB[:count, : own_RB.shape[1]] = own_RB
        self._device.copy_(self._host, non_blocking=True)

    @torch.inference_mode()
    def _forward(self) -> Tensor:
        ids_R, positions_R, slots_R, lengths_R, _, table_RB = self._device_views
        batch = Batch(
            ids=ids_R[None],
            positions=positions_R[None],
            type_ids=torch.zeros_like(ids_R)[None],
            lengths=[1] * self._size,
            order=list(range(self._size)),
            slots=[0] * self._size,
            mask_RL=None,
        )
        metadata = AttentionMetadata(tables_RB=table_RB, rows_T=self._rows_R, lengths_T=lengths_R)
        kv_attention = PagedKVAttention(self._pool, slots_R, metadata)
        with self._sites.acting(self._actions):
            hidden = self._base.forward(batch, kv_attention=kv_attention)
        return self._base.compute_logits(hidden[0])


def _split(whole: Whole, shapes: Sequence[tuple[int, ...]]) -> list[Whole]:
    """Views of consecutive parts."""
    parts, start = [], 0
    for shape in shapes:
        stop = start + int(np.prod(shape))
        parts.append(whole[start:stop].reshape(shape))
        start = stop
    return parts
