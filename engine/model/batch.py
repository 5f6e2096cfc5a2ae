"""Packs rows into one stream of tokens and unpacks them again. Pure: no model, no adapters.

Rows are ordered by their groups, so that what acts together is contiguous. All numbers of a batch
lie in one buffer, so that one copy carries them to a device.

Shape letters: R rows, T tokens of all rows, L longest row, D hidden width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.ops.row_lengths import RowLengths
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
    #: for attention within the stream; None when padded, or when a KV cache attends
    row_lengths: RowLengths | None = None

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
    ordered = [rows[i] for i in order]
    lengths = [row.num_tokens for row in ordered]
    total, num_rows = sum(lengths), len(lengths)
    # the int32 starts of rows take the last words, two in each
    host = _new_buffer(3 * total + num_rows // 2 + 1, device)
    numbers = host.numpy()
    ids_T, positions_T, types_T = numbers[: 3 * total].reshape(3, total)
    starts_R1 = numbers[3 * total :].view(np.int32)[: num_rows + 1]
    starts_R1[0] = 0
    np.cumsum(lengths, out=starts_R1[1:])
    ids_T[:] = _join([row.tokens for row in ordered])
    types_T[:] = _types(ordered)
    positions_T[:] = np.arange(total) - starts_R1[:-1].repeat(lengths)
    stream = host.to(device, non_blocking=True)
    ids_1T, positions_1T, types_1T = stream[: 3 * total].view(3, 1, total).unbind()
    cu_seqlens = stream[3 * total :].view(torch.int32)[: num_rows + 1]
    return Batch(
        ids=ids_1T,
        positions=positions_1T,
        type_ids=types_1T,
        lengths=lengths,
        order=order,
        slots=[row.slot for row in ordered],
        mask_RL=None,
        row_lengths=RowLengths.of(lengths, cu_seqlens),
    )


def pad(
    rows: Sequence[Row],
    device: torch.device,
    pad_id: int,
    groups: Sequence[tuple[object, ...]] | None = None,
) -> Batch:
    """A rectangle [R, L]: the oracle, and the way for bases whose attention we cannot pack."""
    order = _order(rows, groups)
    ordered = [rows[i] for i in order]
    lengths = [row.num_tokens for row in ordered]
    width, num_rows = max(lengths), len(lengths)
    size = num_rows * width
    host = _new_buffer(2 * size + num_rows, device)
    numbers = host.numpy()
    ids_RL, types_RL = numbers[: 2 * size].reshape(2, num_rows, width)
    numbers[2 * size :] = lengths
    inside_RL = np.arange(width) < numbers[2 * size :, None]
    ids_RL.fill(pad_id)
    types_RL.fill(0)
    ids_RL[inside_RL] = _join([row.tokens for row in ordered])
    types_RL[inside_RL] = _types(ordered)
    rectangles = host.to(device, non_blocking=True)
    positions = torch.arange(width, device=device).expand(num_rows, width)
    return Batch(
        ids=rectangles[:size].view(num_rows, width),
        positions=positions,
        type_ids=rectangles[size : 2 * size].view(num_rows, width),
        lengths=lengths,
        order=order,
        slots=[row.slot for row in ordered],
        mask_RL=positions < rectangles[2 * size :, None],
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
    return sorted(range(len(rows)), key=lambda i: (keys[i], len(rows[i].tokens)))


def _new_buffer(num_words: int, device: torch.device) -> Tensor:
    """From pinned memory the copy to a device waits for nothing."""
    return torch.empty(num_words, dtype=torch.int64, pin_memory=device.type == "cuda")


def _join(parts: Sequence[bytes]) -> NDArray[np.int32]:
    return np.frombuffer(b"".join(parts), np.int32)


def _types(rows: Sequence[Row]) -> NDArray[np.int32] | int:
    if not any(row.types for row in rows):
        return 0
    return _join([row.types or bytes(len(row.tokens)) for row in rows])


def _cumulative(lengths: list[int]) -> list[int]:
    ends, total = [], 0
    for length in lengths:
        total += length
        ends.append(total)
    return ends
