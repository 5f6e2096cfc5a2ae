"""The header of a foreign safetensors file, read without believing it.

Allocates nothing the caps do not allow.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

from adapters_registry.adapter_files.limits import Limits
from adapters_registry.adapter_files.strict_json import NotStrictJson, parse_object
from adapters_registry.errors import BadHeader, BadTensor, PickledWeights

_LENGTH_BYTES = 8
_METADATA = "__metadata__"
_FIELDS = {"dtype", "shape", "data_offsets"}
_MAX_DIMENSIONS = 8
_MAX_DIMENSION = 1 << 31
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,511}", re.ASCII)
_ZIP, _GZIP, _PICKLE = b"PK\x03\x04", b"\x1f\x8b", b"\x80"

DTYPE_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor of a file: its bytes, counted from the start of the data, and their meaning."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Every tensor of a file in the order of its bytes, and where the first of them starts."""

    file: str
    data_start: int
    tensors: tuple[Tensor, ...]


def read_header(file: BinaryIO, name: str, num_bytes: int, limits: Limits) -> Header:
    """The header, or the BadArtifact that says what is wrong with the file."""
    prefix = file.read(_LENGTH_BYTES + 1)
    if prefix[_LENGTH_BYTES:] != b"{":
        raise _not_safetensors(name, prefix)
    length = int.from_bytes(prefix[:_LENGTH_BYTES], "little")
    available = num_bytes - _LENGTH_BYTES
    if length > min(available, limits.max_header_bytes):
        raise BadHeader(
            f"{name}: the header claims {length} bytes; the file has {available} and at most "
            f"{limits.max_header_bytes} are read"
        )
    file.seek(_LENGTH_BYTES)
    try:
        entries = parse_object(file.read(length))
    except NotStrictJson as error:
        raise BadHeader(f"{name}: the header is refused: {error}") from error
    _check_metadata(name, entries.pop(_METADATA, {}))
    # none at all is a version that only says what to ask the base
    if len(entries) > limits.max_tensors:
        raise BadHeader(f"{name}: {len(entries)} tensors; at most {limits.max_tensors} are read")
    tensors = sorted(
        (_tensor(name, key, entry) for key, entry in entries.items()), key=lambda t: t.begin
    )
    _check_coverage(name, tensors, available - length)
    return Header(file=name, data_start=_LENGTH_BYTES + length, tensors=tuple(tensors))


def _not_safetensors(name: str, prefix: bytes) -> BadHeader | PickledWeights:
    if prefix.startswith((_ZIP, _GZIP)) or (prefix[:1] == _PICKLE and prefix[1:2] <= b"\x05"):
        return PickledWeights(f"{name} holds pickled weights under a safetensors name", name=name)
    return BadHeader(
        f"{name} is not a safetensors file: no header after the first {_LENGTH_BYTES} bytes"
    )


def _check_metadata(name: str, metadata: object) -> None:
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) for value in metadata.values()
    ):
        raise BadHeader(f"{name}: {_METADATA} must map names to strings")


def _tensor(file: str, name: str, entry: Any) -> Tensor:
    if _NAME.fullmatch(name) is None:
        raise BadTensor(f"{file}: tensor name {name[:80]!r} is refused")
    where = f"{file}: tensor {name}"
    if not isinstance(entry, dict) or set(entry) != _FIELDS:
        raise BadTensor(f"{where} must have exactly {', '.join(sorted(_FIELDS))}")
    dtype = entry["dtype"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BYTES:
        raise BadTensor(f"{where} has dtype {str(dtype)[:40]!r}; read are {', '.join(DTYPE_BYTES)}")
    shape = _shape(where, entry["shape"])
    begin, end = _offsets(where, entry["data_offsets"])
    expected = math.prod(shape) * DTYPE_BYTES[dtype]
    if end - begin != expected:
        raise BadTensor(
            f"{where} of shape {list(shape)} and {dtype} needs {expected} bytes, has {end - begin}"
        )
    return Tensor(name=name, dtype=dtype, shape=shape, begin=begin, end=end)


def _shape(where: str, shape: object) -> tuple[int, ...]:
    sizes = _integers(shape)
    if sizes is None or len(sizes) > _MAX_DIMENSIONS:
        raise BadTensor(
            f"{where} must have a list of at most {_MAX_DIMENSIONS} whole numbers as shape"
        )
    bad = next((size for size in sizes if not 0 < size <= _MAX_DIMENSION), None)
    if bad is not None:
        raise BadTensor(
            f"{where} has a dimension of {str(bad)[:40]}; read are 1 to {_MAX_DIMENSION}"
        )
    return sizes


def _offsets(where: str, offsets: object) -> tuple[int, int]:
    numbers = _integers(offsets)
    if numbers is None or len(numbers) != 2 or not 0 <= numbers[0] <= numbers[1]:
        raise BadTensor(f"{where} must have a begin and an end as data_offsets")
    return numbers[0], numbers[1]


def _integers(value: object) -> tuple[int, ...] | None:
    """`True` is an int to Python and not to anyone else."""
    if isinstance(value, list) and all(type(item) is int for item in value):
        return tuple(value)
    return None


def _check_coverage(name: str, tensors: Iterable[Tensor], num_bytes: int) -> None:
    """Tensors fill the data exactly.

    Bytes that belong to none, or to two, are how a file becomes two files.
    """
    position = 0
    for tensor in tensors:
        if tensor.begin != position:
            fault = "a hole before" if tensor.begin > position else "an overlap at"
            raise BadTensor(f"{name}: {fault} tensor {tensor.name}")
        position = tensor.end
    if position != num_bytes:
        raise BadTensor(
            f"{name}: its tensors need {position} bytes of data, the file has {num_bytes}"
        )
