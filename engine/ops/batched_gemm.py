"""BLAS's batched matrix product over pointers (`cblas_sgemm_batch`), which torch does not expose.

MKL and OpenBLAS have it as an extension of the standard. It is looked up in the library that torch
itself multiplies with, so that threads are torch's own. Knows addresses and sizes; no slot.

Shape letters: T tokens, G segments, I and O widths, K rows of the largest matrix.
"""

from __future__ import annotations

import ctypes
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.ops.segments import Segments

_ROW_MAJOR, _AS_IT_IS, _TRANSPOSED = 101, 111, 112
_FLOAT_BYTES = 4

Addresses = NDArray[np.int64]
Sizes = NDArray[np.int32]


class _Numbers:
    """An array and its address, which takes numpy longer to tell than a product takes to start."""

    __slots__ = ("address", "array")

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array
        self.address: int = array.__array_interface__["data"][0]


class BatchedGemm:
    """Two products per segment: with a matrix transposed, and with one as it is."""

    def __init__(self, function: Any) -> None:
        function.restype = None
        function.argtypes = [
            ctypes.c_int,
            *[ctypes.c_void_p] * 13,
            ctypes.c_int,
            ctypes.c_void_p,
        ]
        self._function = function

    def shrink(
        self, x_TI: Tensor, h_TK: Tensor, addresses_G: Addresses, rows_G: Sizes, segments: Segments
    ) -> None:
        """`h = x M^T`; M is [rows, I], float32 at its address, x and h are contiguous."""
        width, rows = x_TI.shape[1], _Numbers(rows_G)
        inner = _fill(width, len(rows_G))
        operands = _Operands(x_TI, h_TK, addresses_G, width, columns=rows, inner=inner)
        self._run(segments, rows_G, operands, transposed=_TRANSPOSED, kept=0)

    def expand(
        self,
        out_TO: Tensor,
        h_TK: Tensor,
        addresses_G: Addresses,
        rows_G: Sizes,
        segments: Segments,
    ) -> None:
        """`out += h M`; M is [rows, O], float32 at its address, out and h are contiguous."""
        width, rows = out_TO.shape[1], _Numbers(rows_G)
        columns = _fill(width, len(rows_G))
        operands = _Operands(h_TK, out_TO, addresses_G, width, columns=columns, inner=rows)
        self._run(segments, rows_G, operands, transposed=_AS_IT_IS, kept=1)

    def _run(
        self, segments: Segments, rows_G: Sizes, operands: _Operands, *, transposed: int, kept: int
    ) -> None:
        if not rows_G.all():
            there_G = rows_G > 0
            if not there_G.any():
                return
            segments, operands = segments.only(there_G), operands.only(there_G)
        count, offsets_G = len(segments), segments.offsets_G
        source, target = operands.source, operands.target
        read, written = source.shape[1], target.shape[1]
        from_G = _Numbers(source.data_ptr() + offsets_G * (read * _FLOAT_BYTES))
        into_G = _Numbers(target.data_ptr() + offsets_G * (written * _FLOAT_BYTES))
        matrices_G = _Numbers(operands.addresses_G)
        counts_G = _Numbers(segments.counts_G)
        self._function(
            _ROW_MAJOR, _fill(_AS_IT_IS, count).address, _fill(transposed, count).address,
            counts_G.address, operands.columns.address, operands.inner.address,
            _fill(1, count, np.float32).address,
            from_G.address, _fill(read, count).address,
            matrices_G.address, _fill(operands.matrix_width, count).address,
            _fill(kept, count, np.float32).address,
            into_G.address, _fill(written, count).address,
            count, _fill(1, count).address,
        )  # fmt: skip


class _Operands(NamedTuple):
    """Of one product: `target[.., columns] (+)= source[.., inner] M`."""

    source: Tensor
    target: Tensor
    addresses_G: Addresses
    matrix_width: int
    columns: _Numbers
    inner: _Numbers

    def only(self, there_G: NDArray[np.bool_]) -> _Operands:
        """Of these segments alone."""
        return self._replace(
            addresses_G=self.addresses_G[there_G],
            columns=_Numbers(self.columns.array[there_G]),
            inner=_Numbers(self.inner.array[there_G]),
        )


@lru_cache(maxsize=4096)
def _fill(value: int, count: int, dtype: type[np.generic] = np.int32) -> _Numbers:
    return _Numbers(np.full(count, value, dtype=dtype))


@cache
def find_batched_gemm() -> BatchedGemm | None:
    """The product of the library that torch multiplies with; None where that has no such, or one
    that takes other arguments.
    """
    for path in (Path(torch.__file__).parent / "lib").glob("libtorch_cpu.*"):
        function = getattr(ctypes.CDLL(str(path)), "cblas_sgemm_batch", None)
        if function is not None and _multiplies(gemm := BatchedGemm(function)):
            return gemm
    return None


def _multiplies(gemm: BatchedGemm) -> bool:
    """Whether two small segments give what they should."""
    x_TI, matrix_KI = torch.arange(12.0).view(3, 4), torch.arange(8.0).view(2, 4)
    h_TK, rows_G = torch.zeros(3, 2), np.array([2, 2], dtype=np.int32)
    addresses_G = np.array([matrix_KI.data_ptr()] * 2)
    gemm.shrink(x_TI, h_TK, addresses_G, rows_G, Segments(0, [1, 2], [1, 2]))
    return torch.equal(h_TK, x_TI @ matrix_KI.T)
