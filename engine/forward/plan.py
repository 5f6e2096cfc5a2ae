"""What happens at which modules in one forward: the segments of each group, at each of its sites.

Knows batches and slots; no hook and no product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from engine.adapters.resident import Placed
from engine.adapters.slot_pool import SlotGroup
from engine.model.batch import Batch
from engine.ops.grouped_product import GroupedProduct
from engine.ops.segments import Segments
from engine.sites.hooks import Action
from engine.sites.slot_span import SlotSpan
from engine.sites.trained_span import TrainedSpan

Actions = dict[str, list[Action]]


def _include_all(site: str) -> bool:
    del site
    return True


class _Run(NamedTuple):
    """Neighbouring rows of one group: the first token, and each row's slot and tokens."""

    start: int
    rows: list[tuple[int, int]]


def row_group(
    slot: int, placed: Placed | None, num_tokens: int | None = None
) -> tuple[str, int, int]:
    """The order of rows: bare rows first, then by what acts together, then by length where that is
    given, then by slot.

    Attention takes rows of equal length together, and products on a CPU read the weights of slots
    in any order.
    """
    return ("" if placed is None else placed.group, num_tokens or 0, 0 if placed is None else slot)


def plan_actions(
    batch: Batch,
    placed: Mapping[int, Placed],
    is_included: Callable[[str], bool] = _include_all,
) -> Actions:
    """Actions by module, of the sites that are included. Rows are ordered by `row_group`."""
    actions: Actions = {}
    for run in _runs(batch, placed):
        first = placed[run.rows[0][0]]
        if first.pool is None:
            more = _plan_training(run, first, is_included)
        else:
            slots, counts = zip(*_merge_slots(run.rows), strict=True)
            segments = Segments(run.start, slots, counts)
            group = first.pool.groups[first.group]
            more = plan_group(group, segments, first.pool.product, is_included)
        merge_actions(actions, more)
    return actions


def plan_group(
    group: SlotGroup,
    segments: Segments,
    product: GroupedProduct,
    is_included: Callable[[str], bool] = _include_all,
) -> Actions:
    """What the group's slots do to their tokens."""
    actions: Actions = {}
    for site, weights in group.sites.items():
        if is_included(site) and segments.meets(weights.acts_S):
            span = SlotSpan(segments, weights, product, group.activation)
            merge_actions(actions, _each_alone(weights.route(site, span)))
    return actions


def merge_actions(actions: Actions, more: Mapping[str, Sequence[Action]]) -> None:
    for path, its in more.items():
        actions.setdefault(path, []).extend(its)


def _plan_training(run: _Run, placed: Placed, is_included: Callable[[str], bool]) -> Actions:
    """What masters do that are in no slot: with gradients, and for one adapter alone."""
    assert len({slot for slot, _ in run.rows}) == 1, "a slot that learns is alone"
    stop = run.start + sum(count for _, count in run.rows)
    actions: Actions = {}
    for site, effect in placed.effects.items():
        if is_included(site):
            span = TrainedSpan(run.start, stop, effect, placed.activation)
            merge_actions(actions, _each_alone(effect.route(site, span)))
    return actions


def _each_alone(actions: Mapping[str, Action]) -> dict[str, list[Action]]:
    return {path: [action] for path, action in actions.items()}


def _runs(batch: Batch, placed: Mapping[int, Placed]) -> list[_Run]:
    """Maximal runs of rows of one group; bare rows are in none."""
    runs: list[_Run] = []
    position = 0
    rows = zip(batch.slots, batch.strides, strict=True)
    for group, its in groupby(rows, key=lambda row: row[0] in placed and placed[row[0]].group):
        run = list(its)
        if group is not False:
            runs.append(_Run(position, run))
        position += sum(count for _, count in run)
    return runs


def _merge_slots(rows: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Neighbouring rows of one slot together."""
    return [
        (slot, sum(count for _, count in its))
        for slot, its in groupby(rows, key=lambda row: row[0])
    ]
