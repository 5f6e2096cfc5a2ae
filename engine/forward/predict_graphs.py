"""Whole forwards of packed rows, captured as CUDA graphs by size and replayed.

A batch fills the front of a graph's stream; behind it come tokens of no row. The weights of
adapters are read from their slots, at fixed addresses, so a graph holds for whatever adapters the
rows have.

Shape letters: T tokens of all rows, G rows and what is behind them, D hidden width.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.adapters.resident import Placed, slot_groups
from engine.adapters.slot_pool import SlotGroup
from engine.config import EngineConfig
from engine.failures import is_device_lost, is_out_of_memory
from engine.forward.plan import Actions, merge_actions, plan_group
from engine.model.base import Base
from engine.model.batch import Batch
from engine.ops.cuda_graph import CaptureFailed, CudaGraphCapture, GraphCapture, follows_length
from engine.ops.grouped_product import GatheredProduct
from engine.ops.row_lengths import RowLengths
from engine.ops.static_segments import StaticSegments
from engine.sites.hooks import Sites

_log = logging.getLogger(__name__)
#: a forward is worth a graph once its size has come so often
_MIN_TIMES_SEEN = 3
_MAX_GRAPHS = 64
#: so many batches of a size run eagerly after the device had no memory for its graph
_RETRY_AFTER = 1000
#: larger batches keep a device busy for longer than their kernels take to launch
_MAX_TOKENS = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphSize:
    """What a graph has room for."""

    num_tokens: int
    num_rows: int
    longest: int

    @classmethod
    def of(cls, num_tokens: int, rows: RowLengths) -> GraphSize:
        """The smallest with room for a batch: at most a quarter of its tokens stay idle."""
        step = _power_of_two(max(num_tokens, 64)) // 8
        return cls(
            num_tokens=max(64, -(-num_tokens // step) * step),
            num_rows=_power_of_two(max(8, len(rows.cu_seqlens) - 1)),
            longest=_power_of_two(max(32, rows.longest)),
        )


#: a size, and of every group that acts its name and the version of its tensors
_Key = tuple[GraphSize, tuple[tuple[str, int], ...]]


class PredictGraphs:
    """One graph for each size and each set of groups whose adapters act.

    On a base that cannot be captured every forward runs eagerly, and the log says so once.
    """

    def __init__(self, base: Base, sites: Sites, capture: GraphCapture) -> None:
        self._base, self._sites = base, sites
        self._capture = None if follows_length(base.model.config) else capture
        self._graphs: OrderedDict[_Key, _PredictGraph] = OrderedDict()
        #: adapters' products cannot be captured on this device
        self._only_bare = False
        self._times_seen: Counter[_Key] = Counter()

    @property
    def num_graphs(self) -> int:
        return len(self._graphs)

    def run(self, batch: Batch, placed: Mapping[int, Placed]) -> Tensor | None:
        """Final hidden states [1, T, D], which the next run overwrites; None where the forward must
        run eagerly. `placed` are the adapters of the rows' slots.
        """
        rows, num_tokens = batch.row_lengths, batch.ids.shape[1]
        if self._capture is None or rows is None or num_tokens > _MAX_TOKENS:
            return None
        groups = slot_groups([placed[slot] for slot in set(batch.slots) if slot in placed])
        versions = tuple((name, group.version) for name, group in groups.items())
        key = (GraphSize.of(num_tokens, rows), versions)
        graph = self._find(self._capture, key, batch, list(groups.values()))
        return None if graph is None else graph.run(batch)

    def _find(
        self, capture: GraphCapture, key: _Key, batch: Batch, groups: Sequence[SlotGroup]
    ) -> _PredictGraph | None:
        if key in self._graphs:
            self._graphs.move_to_end(key)
            return self._graphs[key]
        self._times_seen[key] += 1
        if self._times_seen[key] < _MIN_TIMES_SEEN or (groups and self._only_bare):
            return None
        graph = _PredictGraph(self._base, self._sites, key[0], groups)
        try:
            graph.capture(capture, batch)
        except (CaptureFailed, RuntimeError) as error:
            if is_device_lost(error):
                raise
            self._give_up(key, error)
            return None
        self._keep(key, graph)
        return graph

    def _keep(self, key: _Key, graph: _PredictGraph) -> None:
        """What is dropped must come often again before it is captured again: graphs over fewer
        tensors than a group has now, and beyond `_MAX_GRAPHS` the one that was used least recently.
        """
        self._graphs[key] = graph
        now = dict(key[1])
        for old in [old for old in self._graphs if any(now.get(n, v) > v for n, v in old[1])]:
            self._drop(old)
        if len(self._graphs) > _MAX_GRAPHS:
            self._drop(next(iter(self._graphs)))

    def _drop(self, key: _Key) -> None:
        del self._graphs[key]
        del self._times_seen[key]

    def _give_up(self, key: _Key, error: Exception) -> None:
        """Eagerly it answers as before. Without memory this size is tried again later; what else
        prevents one graph of a base, or of adapters on it, prevents them all.
        """
        if is_out_of_memory(error):
            self._times_seen[key] = -_RETRY_AFTER
            return
        if key[1]:
            self._only_bare = True
        else:
            self._capture = None
            self._graphs.clear()
        _log.warning(
            "%s cannot be captured as CUDA graphs; they run eagerly: %s",
            "predictions with adapters" if key[1] else "predictions of this base",
            error,
            extra={"action": "recording.failed"},
        )


class _PredictGraph:
    """A captured forward and the stream that it reads."""

    def __init__(
        self, base: Base, sites: Sites, size: GraphSize, groups: Sequence[SlotGroup]
    ) -> None:
        self._base, self._sites = base, sites
        device = base.numerics.device
        self._segments = StaticSegments(size.num_rows + 1, size.num_tokens, device)
        self._actions: Actions = {}
        for group in groups:
            more = plan_group(group, self._segments.segments, GatheredProduct())
            merge_actions(self._actions, more)
        self._streams_3T = torch.zeros(3, size.num_tokens, dtype=torch.int64, device=device)
        self._cu_seqlens = torch.zeros(size.num_rows + 1, dtype=torch.int32, device=device)
        ids_T, positions_T, types_T = self._streams_3T
        self._batch = Batch(
            ids=ids_T[None],
            positions=positions_T[None],
            type_ids=types_T[None],
            lengths=[],
            order=[],
            slots=[],
            mask_RL=None,
            row_lengths=RowLengths(runs=(), cu_seqlens=self._cu_seqlens, longest=size.longest),
        )

    def capture(self, capture: GraphCapture, batch: Batch) -> None:
        self._fill(batch)
        self._replay = capture.capture(self._forward)

    def run(self, batch: Batch) -> Tensor:
        self._fill(batch)
        return self._replay()[:, : batch.ids.shape[1]]

    def _fill(self, batch: Batch) -> None:
        """Behind the batch come tokens 0 of no row: every row that is left over is empty."""
        assert batch.row_lengths is not None
        starts, num_tokens = batch.row_lengths.cu_seqlens, batch.ids.shape[1]
        self._streams_3T.zero_()
        own = self._streams_3T[:, None, :num_tokens]
        torch.stack([batch.ids, batch.positions, batch.type_ids], out=own)
        self._cu_seqlens.fill_(num_tokens)
        self._cu_seqlens[: len(starts)] = starts
        if self._actions:
            self._segments.assign(batch.slots, batch.lengths)

    @torch.inference_mode()
    def _forward(self) -> Tensor:
        with self._sites.acting(self._actions):
            return self._base.forward(self._batch)


def make_predict_graphs(base: Base, sites: Sites, config: EngineConfig) -> PredictGraphs | None:
    """None where the device has no graphs, or the setting turns them off."""
    if base.numerics.device.type != "cuda" or not config.cuda_graphs or config.exact:
        return None
    return PredictGraphs(base, sites, CudaGraphCapture())


def _power_of_two(count: int) -> int:
    return 1 << (count - 1).bit_length()
