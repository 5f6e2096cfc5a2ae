"""Whether a tensor's values are all finite: numpy, no torch, one chunk in memory at a time."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np

from adapters_registry.adapter_files.header import Header, Tensor
from adapters_registry.errors import BadTensor, NonFiniteTensor

_CHUNK_BYTES = 1 << 22  # a multiple of every item size

# NaN and the infinities are exactly the values whose exponent bits are all ones. This reads bf16,
# which numpy lacks.
_EXPONENT: dict[str, tuple[np.dtype[Any], int]] = {
    "F64": (np.dtype("<u8"), 0x7FF0_0000_0000_0000),
    "F32": (np.dtype("<u4"), 0x7F80_0000),
    "F16": (np.dtype("<u2"), 0x7C00),
    "BF16": (np.dtype("<u2"), 0x7F80),
}


def check_finite(file: BinaryIO, header: Header) -> None:
    """NonFiniteTensor names the first tensor with a NaN or an infinity."""
    for tensor in header.tensors:
        file.seek(header.data_start + tensor.begin)
        if not _is_finite(file, header.file, tensor):
            raise NonFiniteTensor(
                f"{header.file}: tensor {tensor.name} holds NaN or infinite values",
                name=tensor.name,
            )


def _is_finite(file: BinaryIO, name: str, tensor: Tensor) -> bool:
    dtype, exponent = _EXPONENT[tensor.dtype]
    mask = dtype.type(exponent)
    left = tensor.end - tensor.begin
    while left:
        chunk = file.read(min(left, _CHUNK_BYTES))
        if not chunk:
            raise BadTensor(f"{name} became shorter while it was read")
        left -= len(chunk)
        if np.any((np.frombuffer(chunk, dtype) & mask) == mask):
            return False
    return True
