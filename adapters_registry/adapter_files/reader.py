"""Strict reading of an adapter directory from a stranger: which files, how large, what is in them.

Works on bytes and shapes. Whether the adapter fits a base is the engine's question, asked after
this one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from adapters_registry.adapter_files.adapter_config import check_config, check_ranks
from adapters_registry.adapter_files.file_names import (
    ADAPTER,
    ADAPTER_NAMES,
    CONFIG,
    HEAD_NAMES,
    HUB_HEAD_CONFIG,
    MANIFEST,
    MODULES,
    POOLING,
    PROMPTS,
    check_stored,
    missing_hint,
    pickled_weights,
)
from adapters_registry.adapter_files.finite import check_finite
from adapters_registry.adapter_files.header import Header, read_header
from adapters_registry.adapter_files.limits import Limits
from adapters_registry.adapter_files.strict_json import NotStrictJson, parse_list, parse_object
from adapters_registry.errors import (
    BadConfig,
    BadFileName,
    MissingFile,
    PickledWeights,
    TooManyBytes,
)
from adapters_registry.storage.disk import open_regular, storing

T = TypeVar("T")
#: how the file begins that Git LFS has in a clone in another's place
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def check_directory(
    directory: Path, limits: Limits, left_out: Sequence[str] = (), *, values: bool = True
) -> list[Header]:
    """The headers of its weights. Raises the BadArtifact of the first file that is refused.

    `left_out` are the names of what came with it, for a message about missing files. Without
    `values` only headers of weights are read.
    """
    with storing("read the adapter"):
        names = _check_names(directory, limits)
        if CONFIG not in names:
            raise MissingFile(f"{CONFIG} is missing{missing_hint(CONFIG, left_out)}", name=CONFIG)
        config = read_json(directory / CONFIG, limits)
        check_config(config)
        weights = directory / _weights_name(names, left_out)
        headers = [check_weights(weights, limits, values=values)]
        check_ranks(config, headers[0].tensors, limits)
        if head := _one_of(HEAD_NAMES, names):
            headers.append(check_weights(directory / head, limits, values=values))
        for name in (MANIFEST, HUB_HEAD_CONFIG, POOLING, PROMPTS):
            if name in names:
                read_json(directory / name, limits)
        if MODULES in names:
            _parse_file(directory / MODULES, limits, parse_list)
    return headers


def _weights_name(names: Set[str], left_out: Sequence[str]) -> str:
    if name := _one_of(ADAPTER_NAMES, names):
        return name
    if pickled := pickled_weights(left_out):
        raise PickledWeights(
            f"{ADAPTER} is missing, and {pickled} cannot be used: weights are read from "
            "safetensors only. Load the adapter where it was trained and save it with "
            "save_pretrained(…, safe_serialization=True) (AdapterHub: use_safetensors=True)",
            name=ADAPTER,
        )
    raise MissingFile(f"{ADAPTER} is missing{missing_hint(ADAPTER, left_out)}", name=ADAPTER)


def _one_of(known: Sequence[str], names: Set[str]) -> str | None:
    present = [name for name in known if name in names]
    if len(present) > 1:
        raise BadFileName(
            f"{' and '.join(present)} are both present, and only one of them can be read; "
            "remove the other"
        )
    return present[0] if present else None


def check_weights(path: Path, limits: Limits, *, values: bool = True) -> Header:
    """The header of a file whose every byte is accounted for and every value finite."""
    with _open_limited(path, limits.max_file_bytes) as (file, num_bytes):
        header = read_header(file, path.name, num_bytes, limits)
        if values:
            check_finite(file, header)
    return header


def read_json(path: Path, limits: Limits) -> dict[str, Any]:
    return _parse_file(path, limits, parse_object)


def _parse_file(path: Path, limits: Limits, parse: Callable[[bytes], T]) -> T:
    with _open_limited(path, limits.max_config_bytes) as (file, num_bytes):
        content = file.read(num_bytes)
    try:
        return parse(content)
    except NotStrictJson as error:
        raise BadConfig(f"{path.name} is refused: {error}") from error


def _check_names(directory: Path, limits: Limits) -> set[str]:
    with os.scandir(directory) as entries:
        names = set()
        for entry in entries:
            names.add(check_stored(entry.name))
            if len(names) > limits.max_files:
                raise TooManyBytes(f"an adapter has at most {limits.max_files} files")
    sizes = [os.lstat(directory / name).st_size for name in names]
    if sum(sizes) > limits.max_total_bytes:
        raise TooManyBytes(
            f"the adapter has {sum(sizes)} bytes; the limit is {limits.max_total_bytes}"
        )
    return names


@contextmanager
def _open_limited(path: Path, max_bytes: int) -> Iterator[tuple[BinaryIO, int]]:
    with open_regular(path) as file:
        num_bytes = os.fstat(file.fileno()).st_size
        if num_bytes > max_bytes:
            raise TooManyBytes(
                f"{path.name} has {num_bytes} bytes; the limit is {max_bytes}", name=path.name
            )
        if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise MissingFile(
                f"{path.name} is a Git LFS pointer, not the file itself; run `git lfs pull` "
                "in the clone",
                name=path.name,
            )
        file.seek(0)
        yield file, num_bytes
