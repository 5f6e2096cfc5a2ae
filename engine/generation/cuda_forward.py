"""Forwards on a CUDA device: attention reads blocks in place, and decode steps replay CUDA graphs.

Knows which adapters act where; nothing of which sequence has which blocks.

Shape letters: T tokens of all rows, V words of the vocabulary.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor

from engine.adapters.resident import slot_groups
from engine.adapters.slot_pool import SlotGroup
from engine.forward.forward import make_batch
from engine.forward.plan import plan_actions
from engine.generation.eager_forward import (
    last_hidden,
    placed_by_slot,
    rows_of,
    with_positions,
)
from engine.generation.graph_forward import GraphForward, Tokens
from engine.generation.sequence import ScheduledChunk
from engine.kv_cache.chunks import Chunk
from engine.kv_cache.paged_attention import PagedKVAttention
from engine.kv_cache.pool import KeyValuePool
from engine.model.base import Base
from engine.ops.cuda_graph import CaptureFailed, GraphCapture, follows_length
from engine.sites.hooks import Sites

_log = logging.getLogger(__name__)
#: a forward is worth a graph once its key has come so often
_MIN_TIMES_SEEN = 3
_MAX_GRAPHS = 32
#: so many forwards of a key run eagerly after the device had no memory for its graph
_RETRY_AFTER = 1000

#: rows, blocks of a row, and of every group that acts its name and the version of its tensors
_Key = tuple[int, int, tuple[tuple[str, int], ...]]


class CudaForward:
    """Rows with one token each replay a CUDA graph, one for each bucket of rows and groups.

    A graph reads the weights of its rows' slots at fixed addresses, so it holds for whatever
    adapters these are. Without `capture`, and on a base that cannot be captured, every forward runs
    eagerly.
    """

    def __init__(
        self, base: Base, sites: Sites, pool: KeyValuePool, capture: GraphCapture | None
    ) -> None:
        self._base, self._sites, self._pool = base, sites, pool
        self._capture = None if follows_length(base.model.config) else capture
        self._graphs: OrderedDict[_Key, GraphForward] = OrderedDict()
        self._times_seen: dict[_Key, int] = {}

    @property
    def num_graphs(self) -> int:
        return len(self._graphs)

    @torch.inference_mode()
    def logits(self, scheduled: Sequence[ScheduledChunk], chunks: Sequence[Chunk]) -> Tensor:
        if self._capture is not None and all(
            item.count == 1 and item.samples_token for item in scheduled
        ):
            graph, tokens = self._find_graph(scheduled, chunks)
            if graph is not None:
                return graph.logits(tokens)
        return self._run_eagerly(scheduled, chunks)

    def _run_eagerly(self, scheduled: Sequence[ScheduledChunk], chunks: Sequence[Chunk]) -> Tensor:
        placed = placed_by_slot([item.row for item in scheduled])
        batch = make_batch(self._base, rows_of(scheduled), placed)
        kv_attention = PagedKVAttention.of(self._pool, [chunks[i] for i in batch.order])
        with self._sites.acting(plan_actions(batch, placed)):
            hidden = self._base.forward(with_positions(batch, scheduled), kv_attention=kv_attention)
        return self._base.compute_logits(last_hidden(hidden[0], batch, scheduled))

    def _find_graph(
        self, scheduled: Sequence[ScheduledChunk], chunks: Sequence[Chunk]
    ) -> tuple[GraphForward | None, Tokens]:
        tokens = Tokens(
            ids=[item.row.ids[item.start] for item in scheduled],
            chunks=chunks,
            adapter_slots=[item.row.slot for item in scheduled],
        )
        size, width = (
            _bucket(len(scheduled)),
            _power_of_two(max(len(chunk.blocks) for chunk in chunks)),
        )
        groups = slot_groups(placed_by_slot([item.row for item in scheduled]).values())
        key = (size, width, tuple((name, group.version) for name, group in groups.items()))
        if key in self._graphs:
            self._graphs.move_to_end(key)
            return self._graphs[key], tokens
        self._times_seen[key] = self._times_seen.get(key, 0) + 1
        if self._times_seen[key] < _MIN_TIMES_SEEN:
            return None, tokens
        return self._capture_graph(key, list(groups.values()), tokens), tokens

    def _capture_graph(
        self, key: _Key, groups: Sequence[SlotGroup], tokens: Tokens
    ) -> GraphForward | None:
        assert self._capture is not None
        size, width, _ = key
        graph = GraphForward(
            self._base, self._sites, self._pool, size=size, width=width, groups=groups
        )
        try:
            graph.capture(self._capture, tokens)
        except torch.OutOfMemoryError:  # eagerly the forward may fit
            self._times_seen[key] = -_RETRY_AFTER
            return None
        except CaptureFailed as error:
            # what prevents one graph of a base prevents them all; eagerly it answers as before
            self._capture = None
            self._graphs.clear()
            _log.warning(
                "the base cannot be captured as CUDA graphs; its forwards run eagerly: %s",
                error,
                extra={"action": "recording.failed"},
            )
            return None
        self._times_seen.clear()
        self._graphs[key] = graph
        if len(self._graphs) > _MAX_GRAPHS:
            self._graphs.popitem(last=False)
        return graph


def _bucket(count: int) -> int:
    """The size of the graph for so many rows: 1, 2, 4, and from then on multiples of 8."""
    return _power_of_two(count) if count <= 4 else -(-count // 8) * 8


def _power_of_two(count: int) -> int:
    return 1 << (count - 1).bit_length()
