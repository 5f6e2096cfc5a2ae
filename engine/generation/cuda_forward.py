"""Forwards on a CUDA device: attention reads blocks in place, and decode steps replay CUDA graphs.

Knows which adapters act where; nothing of which sequence has which blocks.

Shape letters: T tokens of all rows, V words of the vocabulary.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from engine.adapters.resident import Placed
from engine.forward.plan import merge_actions
from engine.generation.cuda_graph import CaptureFailed, GraphCapture
from engine.generation.eager_forward import last_hidden, rows_of, with_positions
from engine.generation.graph_forward import GraphForward, Tokens
from engine.generation.persistent_batch import (
    NO_GROUP,
    Actions,
    AdapterGroup,
    Lane,
    PersistentBatch,
)
from engine.generation.sequence import ScheduledChunk
from engine.kv_cache.chunks import Chunk
from engine.kv_cache.paged_attention import PagedKVAttention
from engine.kv_cache.pool import KeyValuePool
from engine.model.base import Base
from engine.model.batch import pack
from engine.ops.fixed_span import FixedSpan
from engine.sites.hooks import Sites

_log = logging.getLogger(__name__)
#: a forward is worth a graph once its key has come so often
_MIN_TIMES_SEEN = 3
_MAX_GRAPHS = 32

#: rows, blocks of a row, and the `layout_id` of every group that acts
_Key = tuple[int, int, tuple[int, ...]]


class CudaForward:
    """Rows with one token each replay a CUDA graph, one for each bucket of rows and groups.

    Without `capture`, and on a base that cannot be captured, every forward runs eagerly.
    """

    def __init__(
        self, base: Base, sites: Sites, pool: KeyValuePool, capture: GraphCapture | None
    ) -> None:
        self._base, self._sites, self._pool = base, sites, pool
        self._capture = None if follows_length(base.model.config) else capture
        self._persistent = PersistentBatch(everywhere=True)
        self._graphs: OrderedDict[_Key, GraphForward] = OrderedDict()
        self._times_seen: dict[_Key, int] = {}

    @property
    def num_graphs(self) -> int:
        return len(self._graphs)

    @torch.inference_mode()
    def logits(
        self,
        scheduled: Sequence[ScheduledChunk],
        chunks: Sequence[Chunk],
        active: Mapping[int, Placed],
    ) -> Tensor:
        lanes = self._persistent.assign_lanes(active)
        own = [lanes.get(item.row.slot, NO_GROUP) for item in scheduled]
        if self._capture is not None and all(
            item.count == 1 and item.samples_token for item in scheduled
        ):
            graph, tokens = self._find_graph(scheduled, chunks, own)
            if graph is not None:
                return graph.logits(tokens)
        return self._run_eagerly(scheduled, chunks, own)

    def clear(self) -> None:
        """Graphs go with the groups they were captured for; those of the bare base stay."""
        self._persistent.clear()
        self._drop_stale_graphs()

    def _run_eagerly(
        self, scheduled: Sequence[ScheduledChunk], chunks: Sequence[Chunk], lanes: Sequence[Lane]
    ) -> Tensor:
        batch = pack(rows_of(scheduled), self._pool.device, [()] * len(scheduled))
        lanes_by_group = self._persistent.lanes_by_group([lanes[i] for i in batch.order])
        for group, its in lanes_by_group:
            assert isinstance(group.span, FixedSpan)
            token_lanes = [
                lane for lane, n in zip(its, batch.lengths, strict=True) for _ in range(n)
            ]
            group.span.assign(torch.tensor(token_lanes, device=self._pool.device))
        kv_attention = PagedKVAttention.of(self._pool, [chunks[i] for i in batch.order])
        with self._sites.acting(_merge_actions([group for group, _ in lanes_by_group])):
            hidden = self._base.forward(with_positions(batch, scheduled), kv_attention=kv_attention)
        return self._base.compute_logits(last_hidden(hidden[0], batch, scheduled))

    def _find_graph(
        self, scheduled: Sequence[ScheduledChunk], chunks: Sequence[Chunk], lanes: Sequence[Lane]
    ) -> tuple[GraphForward | None, Tokens]:
        lanes_by_group = self._persistent.lanes_by_group(lanes)
        groups = [group for group, _ in lanes_by_group]
        tokens = Tokens(
            ids=[item.row.ids[item.start] for item in scheduled],
            chunks=chunks,
            lanes=[its for _, its in lanes_by_group],
        )
        size, width = (
            _bucket(len(scheduled)),
            _power_of_two(max(len(chunk.blocks) for chunk in chunks)),
        )
        key = (size, width, tuple(group.layout_id for group in groups))
        if key in self._graphs:
            self._graphs.move_to_end(key)
            return self._graphs[key], tokens
        self._drop_stale_graphs()
        self._times_seen[key] = self._times_seen.get(key, 0) + 1
        if self._times_seen[key] < _MIN_TIMES_SEEN:
            return None, tokens
        return self._capture_graph(key, groups, tokens), tokens

    def _capture_graph(
        self, key: _Key, groups: list[AdapterGroup], tokens: Tokens
    ) -> GraphForward | None:
        assert self._capture is not None
        size, width, _ = key
        graph = GraphForward(
            self._base,
            self._sites,
            self._pool,
            size=size,
            width=width,
            groups=groups,
            actions=_merge_actions(groups),
        )
        try:
            graph.capture(self._capture, tokens)
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

    def _drop_stale_graphs(self) -> None:
        """Graphs pin the weights that they read, so they are dropped when no group uses those."""
        here = self._persistent.layout_ids
        for keys in (self._graphs, self._times_seen):
            for key in [key for key in keys if not here.issuperset(key[2])]:
                del keys[key]


def _merge_actions(groups: Sequence[AdapterGroup]) -> Actions:
    actions: Actions = {}
    for group in groups:
        merge_actions(actions, group.actions)
    return actions


def _bucket(count: int) -> int:
    """The size of the graph for so many rows: 1, 2, 4, and from then on multiples of 8."""
    return _power_of_two(count) if count <= 4 else -(-count // 8) * 8


def _power_of_two(count: int) -> int:
    return 1 << (count - 1).bit_length()


def follows_length(config: Any) -> bool:
    """Whether rotary positions change with the longest row, which a graph cannot follow."""
    rope_parameters = getattr(config, "rope_parameters", None) or {}
    ropes = [
        rope_parameters,
        *(value for value in rope_parameters.values() if isinstance(value, dict)),
    ]
    return any(rope.get("rope_type") in ("dynamic", "longrope") for rope in ropes)
