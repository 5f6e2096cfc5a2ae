"""Forwards on a device: blocks are read where they lie, and rows that only write on are replayed.

Knows what acts where; nothing of who has which blocks.

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
from engine.generation.eager_forward import last, moved, rows_of
from engine.generation.graph_forward import GraphForward, Tokens
from engine.generation.persistent_batch import (
    STANDING,
    Actions,
    AdapterGroup,
    PersistentBatch,
    Seat,
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
#: a forward is worth recording once its like has come so often
_SIGHTINGS = 3
_MAX_RECORDINGS = 32

#: rows, blocks of a row, and the `layout_id` of every bench that acts
_Key = tuple[int, int, tuple[int, ...]]


class CudaForward:
    """Rows with one token each go by recordings, one for each bucket of rows and benches.

    Without a recorder, and on a base of which no recording can be made, every forward is launched.
    """

    def __init__(
        self, base: Base, sites: Sites, pool: KeyValuePool, recorder: GraphCapture | None
    ) -> None:
        self._base, self._sites, self._pool = base, sites, pool
        self._recorder = None if follows_length(base.model.config) else recorder
        self._seating = PersistentBatch(everywhere=True)
        self._recordings: OrderedDict[_Key, GraphForward] = OrderedDict()
        self._sightings: dict[_Key, int] = {}

    @property
    def num_recordings(self) -> int:
        return len(self._recordings)

    @torch.inference_mode()
    def logits(
        self,
        turns: Sequence[ScheduledChunk],
        readings: Sequence[Chunk],
        sitting: Mapping[int, Placed],
    ) -> Tensor:
        seats = self._seating.seats(sitting)
        own = [seats.get(turn.row.slot, STANDING) for turn in turns]
        if self._recorder is not None and all(turn.count == 1 and turn.writes for turn in turns):
            recording, tokens = self._recorded(turns, readings, own)
            if recording is not None:
                return recording.logits(tokens)
        return self._launched(turns, readings, own)

    def clear(self) -> None:
        """Recordings go with the benches they were made for; those of the bare base stay."""
        self._seating.clear()
        self._forget_gone()

    def _launched(
        self, turns: Sequence[ScheduledChunk], readings: Sequence[Chunk], seats: Sequence[Seat]
    ) -> Tensor:
        batch = pack(rows_of(turns), self._pool.device, [()] * len(turns))
        taken = self._seating.taken([seats[i] for i in batch.order])
        for bench, its in taken:
            assert isinstance(bench.span, FixedSpan)
            each = [seat for seat, n in zip(its, batch.lengths, strict=True) for _ in range(n)]
            bench.span.seat(torch.tensor(each, device=self._pool.device))
        lookback = PagedKVAttention.of(self._pool, [readings[i] for i in batch.order])
        with self._sites.acting(_merged([bench for bench, _ in taken])):
            hidden = self._base.forward(moved(batch, turns), kept=lookback)
        return self._base.vocabulary(last(hidden[0], batch, turns))

    def _recorded(
        self, turns: Sequence[ScheduledChunk], readings: Sequence[Chunk], seats: Sequence[Seat]
    ) -> tuple[GraphForward | None, Tokens]:
        taken = self._seating.taken(seats)
        benches = [bench for bench, _ in taken]
        tokens = Tokens(
            ids=[turn.row.ids[turn.start] for turn in turns],
            readings=readings,
            seats=[its for _, its in taken],
        )
        size, width = _bucket(len(turns)), _doubled(max(len(r.blocks) for r in readings))
        key = (size, width, tuple(bench.layout_id for bench in benches))
        if key in self._recordings:
            self._recordings.move_to_end(key)
            return self._recordings[key], tokens
        self._forget_gone()
        self._sightings[key] = self._sightings.get(key, 0) + 1
        if self._sightings[key] < _SIGHTINGS:
            return None, tokens
        return self._record(key, benches, tokens), tokens

    def _record(
        self, key: _Key, benches: list[AdapterGroup], tokens: Tokens
    ) -> GraphForward | None:
        assert self._recorder is not None
        size, width, _ = key
        recording = GraphForward(
            self._base, self._sites, self._pool, size=size, width=width, benches=benches,
            actions=_merged(benches),
        )  # fmt: skip
        try:
            recording.record(self._recorder, tokens)
        except CaptureFailed as error:
            # what stops one recording of a base stops them all; launched, it answers as before
            self._recorder = None
            self._recordings.clear()
            _log.warning(
                "the base cannot be recorded; its forwards are launched one by one: %s", error,
                extra={"action": "recording.failed"},
            )  # fmt: skip
            return None
        self._sightings.clear()
        self._recordings[key] = recording
        if len(self._recordings) > _MAX_RECORDINGS:
            self._recordings.popitem(last=False)
        return recording

    def _forget_gone(self) -> None:
        """Recordings pin the weights they read, so they go when those are no longer anybody's."""
        here = self._seating.layout_ids
        for keys in (self._recordings, self._sightings):
            for key in [key for key in keys if not here.issuperset(key[2])]:
                del keys[key]


def _merged(benches: Sequence[AdapterGroup]) -> Actions:
    actions: Actions = {}
    for bench in benches:
        merge_actions(actions, bench.actions)
    return actions


def _bucket(count: int) -> int:
    """How many rows a recording has for so many: 1, 2, 4, and from then on multiples of 8."""
    return _doubled(count) if count <= 4 else -(-count // 8) * 8


def _doubled(count: int) -> int:
    return 1 << (count - 1).bit_length()


def follows_length(config: Any) -> bool:
    """Whether rotary positions change with the longest row, which a recording cannot follow."""
    given = getattr(config, "rope_parameters", None) or {}
    each = [given, *(value for value in given.values() if isinstance(value, dict))]
    return any(rope.get("rope_type") in ("dynamic", "longrope") for rope in each)
