"""Products of a stream's tokens with the matrices of their own slots: one operation, three bodies.

A token meets the matrix of its own slot alone, in every body, so that nothing a neighbour's weights
produce, infinities and NaN included, can reach it. The body for a CPU is one call of BLAS's batched
product, which reads the matrices where they are; that for other devices gathers the matrices of
the batch and multiplies them by `grouped_mm`, in calls whose shapes depend on the numbers of
tokens and segments alone, so that a CUDA graph of them holds for other slots. The plain one is what
the others are held to.

Shape letters: T tokens, G segments, I and O widths, K rows of the largest matrix (ranks of an
adapter, outputs of a head), N rows of a bucket.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import grouped_mm

from engine.ops.batched_gemm import BatchedGemm, find_batched_gemm
from engine.ops.segments import Segments
from engine.ops.slot_matrices import SlotMatrices, bucket_rows
from engine.ops.slot_stack import SlotStack

#: what stands between the two products of a low-rank one
Activation = Callable[[Tensor], Tensor]


class GroupedProduct(Protocol):
    """How tokens are multiplied by the matrices of their slots. Nothing of it has gradients."""

    def shrink(self, x_TI: Tensor, matrices: SlotMatrices, segments: Segments) -> Tensor:
        """`x M^T` per segment: [T, K], in the precision of the matrices.

        There are at least as many columns as the largest matrix has rows. Of a token, those beyond
        its own slot's rows are undefined.
        """
        ...

    def expand(
        self, out_TO: Tensor, h_TK: Tensor, matrices: SlotMatrices, segments: Segments
    ) -> None:
        """Adds `h M` per segment to `out_TO` in place; tokens of slots without a matrix keep it."""
        ...


class PlainProduct:
    """A loop over segments."""

    def shrink(self, x_TI: Tensor, matrices: SlotMatrices, segments: Segments) -> Tensor:
        widest = int(matrices.rows_S[segments.slots_G].max())
        dtype = matrices.dtype
        h_TK = x_TI.new_empty(len(x_TI), widest, dtype=dtype)
        for tokens, matrix_NI in _each(matrices, segments):
            h_TK[tokens, : len(matrix_NI)] = x_TI[tokens].to(dtype) @ matrix_NI.T
        return h_TK

    def expand(
        self, out_TO: Tensor, h_TK: Tensor, matrices: SlotMatrices, segments: Segments
    ) -> None:
        for tokens, matrix_NO in _each(matrices, segments):
            out_TO[tokens] += h_TK[tokens, : len(matrix_NO)] @ matrix_NO


class BlasProduct:
    """One batched product of the processor's BLAS over all segments, in float32."""

    def __init__(self, gemm: BatchedGemm) -> None:
        self._gemm = gemm
        #: what another precision is converted into, kept between calls: fresh memory costs as much
        #: as the product
        self._scratch = torch.empty(0)

    def shrink(self, x_TI: Tensor, matrices: SlotMatrices, segments: Segments) -> Tensor:
        segments = segments.interleave(torch.get_num_threads())
        rows_G = matrices.rows_S[segments.slots_G]
        x_TI = self._as_float(x_TI)
        h_TK = x_TI.new_empty(len(x_TI), int(rows_G.max()))
        self._gemm.shrink(x_TI, h_TK, matrices.addresses_S[segments.slots_G], rows_G, segments)
        return h_TK

    def expand(
        self, out_TO: Tensor, h_TK: Tensor, matrices: SlotMatrices, segments: Segments
    ) -> None:
        segments = segments.interleave(torch.get_num_threads())
        rows_G = matrices.rows_S[segments.slots_G]
        addresses_G = matrices.addresses_S[segments.slots_G]
        # converting twice is cheaper than a sum of two precisions
        sum_TO = self._as_float(out_TO)
        self._gemm.expand(sum_TO, h_TK, addresses_G, rows_G, segments)
        if sum_TO is not out_TO:
            out_TO.copy_(sum_TO)

    def _as_float(self, tensor: Tensor) -> Tensor:
        """Itself, or a contiguous copy that is good until the next call."""
        if tensor.dtype == torch.float32 and tensor.is_contiguous():
            return tensor
        if self._scratch.numel() < tensor.numel():
            with torch.inference_mode(mode=False):  # it is written in any mode
                self._scratch = torch.empty(tensor.numel())
        return self._scratch[: tensor.numel()].view(tensor.shape).copy_(tensor)


class GatheredProduct:
    """For each bucket, the segments' matrices side by side and one grouped product."""

    def shrink(self, x_TI: Tensor, matrices: SlotMatrices, segments: Segments) -> Tensor:
        slots_G = segments.slots_on(x_TI.device)
        h_TK: Tensor | None = None
        for bucket in _buckets_met(matrices, segments).values():
            own_GNI = bucket.own(slots_G)
            h_TN = _multiply(x_TI.to(matrices.dtype), own_GNI.transpose(1, 2), segments)
            h_TK = h_TN if h_TK is None else _add_padded(h_TK, h_TN)
        assert h_TK is not None, "a product without a matrix in any slot"
        return h_TK

    def expand(
        self, out_TO: Tensor, h_TK: Tensor, matrices: SlotMatrices, segments: Segments
    ) -> None:
        slots_G = segments.slots_on(h_TK.device)
        for size, bucket in _buckets_met(matrices, segments).items():
            own_GNO = bucket.own(slots_G)
            out_TO += _multiply(h_TK[:, :size].contiguous(), own_GNO, segments)


def _buckets_met(matrices: SlotMatrices, segments: Segments) -> dict[int, SlotStack]:
    """Those that one of the slots has a matrix in; all of them, where a device alone knows."""
    if not segments.on_host:
        return matrices.buckets
    sizes = {bucket_rows(int(rows)) for rows in matrices.rows_S[segments.slots_G] if rows}
    return {size: matrices.buckets[size] for size in sorted(sizes)}


def choose_product(device: torch.device, dtype: torch.dtype) -> tuple[GroupedProduct, torch.dtype]:
    """The body for a base on a device, and the precision of the matrices that it reads."""
    if device.type == "cpu":
        gemm = find_batched_gemm()
        return (PlainProduct(), dtype) if gemm is None else (BlasProduct(gemm), torch.float32)
    # in other precisions, and on older devices, torch's grouped product waits for the device
    groups = device.type != "cuda" or torch.cuda.get_device_capability(device) >= (9, 0)
    return (GatheredProduct() if groups and dtype == torch.bfloat16 else PlainProduct()), dtype


def _multiply(x_TI: Tensor, matrices_GIO: Tensor, segments: Segments) -> Tensor:
    if segments.one_each:
        return torch.bmm(x_TI[:, None], matrices_GIO)[:, 0]
    if x_TI.dtype != torch.bfloat16 and segments.on_host:  # devices group bfloat16 alone
        parts = zip(torch.split(x_TI, segments.counts_G.tolist()), matrices_GIO, strict=True)
        return torch.cat([tokens @ matrix for tokens, matrix in parts])
    return grouped_mm(x_TI, matrices_GIO, offs=segments.ends_on(x_TI.device))


def _add_padded(wide_TK: Tensor, more_TN: Tensor) -> Tensor:
    """Sums of the columns: a token's are zero in every bucket but its slot's own."""
    if wide_TK.shape[1] < more_TN.shape[1]:
        wide_TK, more_TN = more_TN, wide_TK
    wide_TK[:, : more_TN.shape[1]] += more_TN
    return wide_TK


def _each(matrices: SlotMatrices, segments: Segments) -> list[tuple[slice, Tensor]]:
    """The tokens and the matrix of each segment whose slot has one."""
    parts = zip(segments.slots_G, segments.offsets_G, segments.counts_G, strict=True)
    return [
        (slice(int(start), int(start + count)), matrices[int(slot)])
        for slot, start, count in parts
        if matrices.rows_S[slot]
    ]
