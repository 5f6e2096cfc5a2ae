"""Packs rows into one stream of tokens and unpacks them again. Pure: no model, no adapters.

Rows are ordered by slot, so that the tokens of each slot are contiguous, as the grouped products
require.

Shape letters: R rows, T tokens of all rows, L longest row, D hidden width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.port import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows in slot order. Packed: one stream [1, T]; padded: a rectangle [R, L] with its mask."""

    ids: Tensor
    positions: Tensor
    type_ids: Tensor
    #: tokens of each row, in batch order
    lengths: list[int]
    #: batch position -> position among the rows given
    order: list[int]
    slots: list[int]
    #: None when packed
    mask_RL: Tensor | None

    @property
    def packed(self) -> bool:
        return self.mask_RL is None

    @property
    def spans(self) -> list[tuple[int, int]]:
        """First and past-last token of each row in the flattened stream, padding left out."""
        if self.packed:
            ends = _cumulative(self.lengths)
            return [(end - length, end) for end, length in zip(ends, self.lengths, strict=True)]
        width = self.ids.shape[1]
        return [(row * width, row * width + length) for row, length in enumerate(self.lengths)]

    @property
    def strides(self) -> list[int]:
        """Tokens each row takes in the flattened stream, padding included."""
        return self.lengths if self.packed else [self.ids.shape[1]] * len(self.lengths)


def pack(
    rows: Sequence[Row], device: torch.device, groups: Sequence[tuple[object, ...]] | None = None
) -> Batch:
    """One stream [1, T].

    `groups` orders rows (default: by slot); within a group the shortest come first.
    """
    order = _order(rows, groups)
    lengths = [len(rows[i].ids) for i in order]
    ids = torch.tensor([t for i in order for t in rows[i].ids], device=device)
    types = torch.tensor([t for i in order for t in _types(rows[i])], device=device)
    positions = torch.tensor([p for length in lengths for p in range(length)], device=device)
    return Batch(
        ids=ids[None],
        positions=positions[None],
        type_ids=types[None],
        lengths=lengths,
        order=order,
        slots=[rows[i].slot for i in order],
        mask_RL=None,
    )


def pad(
    rows: Sequence[Row],
    device: torch.device,
    pad_id: int,
    groups: Sequence[tuple[object, ...]] | None = None,
) -> Batch:
    """A rectangle [R, L]: the oracle, and the way for bases whose attention we cannot pack."""
    order = _order(rows, groups)
    lengths = [len(rows[i].ids) for i in order]
    width = max(lengths)
    ids = torch.tensor([_pad_values(rows[i].ids, width, pad_id) for i in order], device=device)
    types = torch.tensor([_pad_values(_types(rows[i]), width, 0) for i in order], device=device)
    positions = torch.arange(width, device=device).expand(len(order), width)
    mask = positions < torch.tensor(lengths, device=device)[:, None]
    return Batch(
        ids=ids,
        positions=positions,
        type_ids=types,
        lengths=lengths,
        order=order,
        slots=[rows[i].slot for i in order],
        mask_RL=mask,
    )


def unpack(hidden: Tensor, batch: Batch) -> list[Tensor]:
    """Final hidden states [.., D] to one [tokens, D] per row, in batch order."""
    flat_TD = hidden.reshape(-1, hidden.shape[-1])
    if batch.packed:
        return list(torch.split(flat_TD, batch.lengths))
    return [flat_TD[start:stop] for start, stop in batch.spans]


def repack(rows: Sequence[Tensor], batch: Batch) -> Tensor:
    """The inverse of `unpack`; what stands in for padding is zero."""
    if batch.packed:
        return torch.cat(list(rows))[None]
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)


def _order(rows: Sequence[Row], groups: Sequence[tuple[object, ...]] | None) -> list[int]:
    """By group, and by length within one: attention takes neighbours of equal length together."""
    keys = groups if groups is not None else [(row.slot,) for row in rows]
    return sorted(range(len(rows)), key=lambda i: (keys[i], len(rows[i].ids)))


def _types(row: Row) -> list[int]:
    return row.type_ids if row.type_ids is not None else [0] * len(row.ids)


def _pad_values(values: list[int], width: int, fill: int) -> list[int]:
    return values + [fill] * (width - len(values))


def _cumulative(lengths: list[int]) -> list[int]:
    ends, total = [], 0
    for length in lengths:
        total += length
        ends.append(total)
    return ends
