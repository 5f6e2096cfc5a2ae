"""What happens at which modules in one forward: stretches of neighbouring slots of one group.

A stretch holds at most a few adapters: one big concatenation does every adapter's arithmetic for
every token, single segments make the products too small.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from engine.adapters.resident import Placed
from engine.model.batch import Batch
from engine.ops.grouped_low_rank import Span
from engine.sites.effect import EffectSpan
from engine.sites.hooks import Action

MAX_STACKED_ADAPTERS = 8


def row_group(slot: int, placed: Placed | None) -> tuple[str, int]:
    """The order of rows: bare rows first, then by what may share a stretch, then by slot."""
    return ("", 0) if placed is None else (placed.group, slot)


def plan_actions(batch: Batch, placed: Mapping[int, Placed]) -> dict[str, list[Action]]:
    """Actions by site. Rows of `batch` are ordered by `row_group`."""
    actions: dict[str, list[Action]] = {}
    for start, slots, counts in _effect_spans(batch, placed):
        for chunk_start, chunk, tokens in _chunks(start, slots, counts):
            span = Span(chunk_start, tokens)
            merge_actions(actions, StackedAdapters(span, [placed[slot] for slot in chunk]).actions)
    return actions


class StackedAdapters:
    """Some adapters of one group side by side; each acts on its own tokens of the span."""

    def __init__(self, span: Span, adapters: Sequence[Placed]) -> None:
        self._adapters = list(adapters)
        self._effect_spans: dict[str, EffectSpan] = {}
        self.actions: dict[str, list[Action]] = {}
        for site in dict.fromkeys(site for placed in adapters for site in placed.effects):
            effects = [placed.effects.get(site) for placed in adapters]
            effect_span = self._effect_spans[site] = EffectSpan(
                span, effects, adapters[0].activation
            )
            route = next(effect.route for effect in effects if effect is not None)
            for path, action in route(site, effect_span).items():
                self.actions.setdefault(path, []).append(action)

    def put(self, number: int, placed: Placed) -> bool:
        """Another adapter in the place of one, if it changes the same sites in the same way."""
        before = self._adapters[number].effects
        if before.keys() != placed.effects.keys():
            return False
        if not all(effect.like(before[site]) for site, effect in placed.effects.items()):
            return False
        self._adapters[number] = placed
        for site, effect in placed.effects.items():
            self._effect_spans[site].put(number, effect)
        return True


def merge_actions(actions: dict[str, list[Action]], more: Mapping[str, Sequence[Action]]) -> None:
    for path, its in more.items():
        actions.setdefault(path, []).extend(its)


def _effect_spans(
    batch: Batch, placed: Mapping[int, Placed]
) -> list[tuple[int, list[int], list[int]]]:
    """Maximal stretches of slots of one group: first token, slots, tokens of each slot."""
    stretches: list[tuple[int, list[int], list[int]]] = []
    position, last_group = 0, ""
    for slot, rows in groupby(
        zip(batch.slots, batch.strides, strict=True), key=lambda pair: pair[0]
    ):
        tokens = sum(stride for _, stride in rows)
        if slot in placed:
            group = placed[slot].group
            if not stretches or group != last_group:
                stretches.append((position, [], []))
            stretches[-1][1].append(slot)
            stretches[-1][2].append(tokens)
            last_group = group
        position += tokens
    return stretches


def _chunks(
    start: int, slots: list[int], counts: list[int]
) -> list[tuple[int, list[int], list[int]]]:
    chunks = []
    for first in range(0, len(slots), MAX_STACKED_ADAPTERS):
        tokens = counts[first : first + MAX_STACKED_ADAPTERS]
        chunks.append((start, slots[first : first + MAX_STACKED_ADAPTERS], tokens))
        start += sum(tokens)
    return chunks
