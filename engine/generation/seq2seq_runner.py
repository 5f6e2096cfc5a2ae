"""Runs sequences of an encoder and decoder together: new rows encode their sources, the others
decode one token.

Decides which rows there is memory for; which rows run, and their rank, is decided outside.

Shape letters: R rows, V words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.adapters.resident import Placed
from engine.errors import BadRow
from engine.forward.plan import plan_actions, row_group
from engine.forward.seq2seq import (
    decode_step,
    encode_sources,
    plan_seq2seq_actions,
    rows_in_order,
    start_id,
)
from engine.generation.sequence import ScheduledChunk, SequenceState
from engine.kv_cache.block_allocator import next_hash, root_hash
from engine.kv_cache.encoder_decoder_cache import Seq2SeqCache, SourceCache
from engine.kv_cache.pool import BLOCK_TOKENS
from engine.model.base import Base
from engine.sites.hooks import Sites

#: one part in so many of the memory caches sources that no running row uses
_KNOWN_SHARE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Admitted:
    row: SequenceState
    #: key of its source in the cache; None where it is not cached
    name: bytes | None
    #: at most, in blocks
    source: int
    text: int


class Seq2SeqRunner:
    """Rows of one forward stay one cache until a row ends or others join.

    A row starts once there is memory for a rectangle of all rows at the greatest length that one of
    them can reach, so no row is ever preempted. No row overtakes one that waits for memory.
    """

    def __init__(self, base: Base, sites: Sites, *, budget: int, exact: bool) -> None:
        self._base, self._sites, self._exact = base, sites, exact
        self._known = SourceCache(budget // _KNOWN_SHARE)
        self.num_blocks = (budget - budget // _KNOWN_SHARE) // _block_bytes(base)
        self._admitted: dict[int, _Admitted] = {}
        self._groups: list[Seq2SeqCache] = []

    @property
    def used_blocks(self) -> int:
        return sum(
            _rectangle([self._admitted[key] for key in group.keys]) for group in self._groups
        )

    def admit(self, row: SequenceState) -> None:
        source, text = -(-row.num_prompt // BLOCK_TOKENS), -(-row.max_tokens // BLOCK_TOKENS)
        if source + text > self.num_blocks:
            raise BadRow(
                f"the row's {row.num_prompt} tokens and the {row.max_tokens} it may write need "
                f"{source + text} "
                f"blocks of keys and values; there are {self.num_blocks}"
            )
        name = self._name(row)
        self._admitted[row.key] = _Admitted(row=row, name=name, source=source, text=text)

    def forget(self, key: int) -> None:
        if self._admitted.pop(key, None) is not None:
            self._apart([key])

    # ------------------------------------------------------------ schedule

    def schedule(
        self, rows: Sequence[SequenceState], max_tokens: int
    ) -> list[list[ScheduledChunk]]:
        """Rows that decode, rows whose sources are cached, and rows whose sources are new."""
        on, known, new = list[ScheduledChunk](), list[ScheduledChunk](), list[ScheduledChunk]()
        left, full = max_tokens, False
        standing = [self._admitted[key] for group in self._groups for key in group.keys]
        for row in rows:
            own = self._admitted[row.key]
            if row.num_generated:
                on.append(ScheduledChunk(row=row, start=len(row.ids) - 1, count=1))
            elif full := full or _rectangle([*standing, own]) > self.num_blocks:
                continue
            elif self._known.find(own.name) is not None:
                known.append(ScheduledChunk(row=row, start=0, count=row.num_prompt))
                standing.append(own)
            # a source longer than the budget is encoded too, as the only source of its step
            elif row.num_prompt <= left or left == max_tokens:
                new.append(ScheduledChunk(row=row, start=0, count=row.num_prompt))
                standing.append(own)
                left -= row.num_prompt
        groups = [group for group in (on, known, new) if group]
        return [[item] for group in groups for item in group] if self._exact else groups

    # ------------------------------------------------------------ the forward

    @torch.inference_mode()
    def run(self, scheduled: Sequence[ScheduledChunk]) -> Tensor:
        placed = {
            item.row.slot: item.row.placed for item in scheduled if item.row.placed is not None
        }
        ordered = sorted((item.row for item in scheduled), key=lambda row: _rank(row, placed))
        if scheduled[0].start:
            group = Seq2SeqCache.join(self._apart([row.key for row in ordered]))
            group = group.pick([row.key for row in ordered])
            self._groups.append(group)
            logits_RV = self._on(group, ordered, placed)
        else:
            group, logits_RV = self._start(ordered, placed)
            self._groups.append(group)
        places = {key: place for place, key in enumerate(group.keys)}
        return logits_RV[[places[item.row.key] for item in scheduled]]

    def _on(
        self, group: Seq2SeqCache, rows: Sequence[SequenceState], placed: dict[int, Placed]
    ) -> Tensor:
        last = [[row.ids[-1] if row.num_generated else start_id(self._base)] for row in rows]
        target = rows_in_order(self._base, last, [row.slot for row in rows])
        try:
            with self._sites.acting(plan_actions(target, placed)):
                logits_RV = decode_step(self._base, target, group)
        except BaseException:
            group.undo()
            raise
        group.advance()
        return logits_RV

    def _start(
        self, rows: Sequence[SequenceState], placed: dict[int, Placed]
    ) -> tuple[Seq2SeqCache, Tensor]:
        known = [self._known.find(self._admitted[row.key].name) for row in rows]
        keys, sources = [row.key for row in rows], [row.num_prompt for row in rows]
        if all(layers is not None for layers in known):
            for row in rows:
                row.num_cached = row.num_prompt
            group = Seq2SeqCache.fresh(keys, sources, [layers for layers in known if layers])
            return group, self._on(group, rows, placed)
        group = Seq2SeqCache.fresh(keys, sources)
        logits_RV = self._read_sources(group, rows, placed)
        for row in rows:
            if (name := self._admitted[row.key].name) is not None:
                self._known.keep(name, group.source(row.key))
        return group, logits_RV

    def _read_sources(
        self, group: Seq2SeqCache, rows: Sequence[SequenceState], placed: dict[int, Placed]
    ) -> Tensor:
        source = rows_in_order(self._base, [row.ids for row in rows], [row.slot for row in rows])
        with self._sites.acting(plan_actions(source, placed)):
            encoded_RLD = encode_sources(self._base, source)
        starts = [[start_id(self._base)]] * len(rows)
        target = rows_in_order(self._base, starts, source.slots)
        with self._sites.acting(plan_seq2seq_actions(self._base, source, target, placed)):
            logits_RV = decode_step(self._base, target, group, encoded_RLD)
        group.advance()
        return logits_RV

    # ------------------------------------------------------------ rows together

    def _apart(self, keys: Sequence[int]) -> list[Seq2SeqCache]:
        """Split these rows from their groups; the other rows of a group stay in it."""
        named, taken, left = set(keys), list[Seq2SeqCache](), list[Seq2SeqCache]()
        for group in self._groups:
            for chosen, kept in ((True, taken), (False, left)):
                if part := [key for key in group.keys if (key in named) == chosen]:
                    kept.append(group.pick(part))
        self._groups = left
        return taken

    def _name(self, row: SequenceState) -> bytes | None:
        named = row.digest if row.slot else "the base"
        if self._exact or not row.salt or named is None:
            return None
        return next_hash(root_hash(named, row.salt), row.ids)


def _rectangle(rows: Sequence[_Admitted]) -> int:
    """Blocks of these rows together once all of them have their greatest length."""
    longest = max(own.source for own in rows) + max(own.text for own in rows)
    return len(rows) * longest


def _rank(row: SequenceState, placed: dict[int, Placed]) -> tuple[str, int, int, int]:
    return (*row_group(row.slot, placed.get(row.slot)), row.number)


def _block_bytes(base: Base) -> int:
    """Of keys and values of every decoder layer."""
    config = base.model.config
    width = getattr(config, "d_kv", None) or config.hidden_size // config.num_attention_heads
    heads = getattr(config, "decoder_attention_heads", None) or config.num_attention_heads
    layers = getattr(config, "num_decoder_layers", None) or config.decoder_layers
    return int(2 * layers * heads * width * base.dtype.itemsize * BLOCK_TOKENS)
