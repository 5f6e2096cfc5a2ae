"""Strict reading of an adapter directory from a stranger: which files, how large, what is in them.

Works on bytes and shapes. Whether the adapter fits a base is the engine's question, asked after
this one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from adapters_registry.adapter_config import check_config, check_ranks
from adapters_registry.disk import open_regular, storing
from adapters_registry.errors import BadConfig, MissingFile, TooManyBytes
from adapters_registry.finite import check_finite
from adapters_registry.header import Header, read_header
from adapters_registry.limits import Limits
from adapters_registry.staging import ADAPTER, CONFIG, HEAD, MANIFEST, check_file_name
from adapters_registry.strict_json import NotStrictJson, parse_object


def check_directory(directory: Path, limits: Limits) -> None:
    """Raise the BadArtifact of the first file that is refused."""
    with storing("read the adapter"):
        names = _check_names(directory, limits)
        for name in (CONFIG, ADAPTER):
            if name not in names:
                raise MissingFile(f"{name} is not there", name=name)
        config = read_json(directory / CONFIG, limits)
        check_config(config)
        header = check_weights(directory / ADAPTER, limits)
        check_ranks(config, header.tensors, limits)
        if HEAD in names:
            check_weights(directory / HEAD, limits)
        if MANIFEST in names:
            read_json(directory / MANIFEST, limits)


def check_weights(path: Path, limits: Limits) -> Header:
    """The header of a file whose every byte is accounted for and every value finite."""
    with _opened(path, limits.max_file_bytes) as (file, num_bytes):
        header = read_header(file, path.name, num_bytes, limits)
        check_finite(file, header)
    return header


def read_json(path: Path, limits: Limits) -> dict[str, Any]:
    with _opened(path, limits.max_config_bytes) as (file, num_bytes):
        content = file.read(num_bytes)
    try:
        return parse_object(content)
    except NotStrictJson as error:
        raise BadConfig(f"{path.name} is refused: {error}") from error


def _check_names(directory: Path, limits: Limits) -> set[str]:
    with os.scandir(directory) as entries:
        names = set()
        for entry in entries:
            names.add(check_file_name(entry.name))
            if len(names) > limits.max_files:
                raise TooManyBytes(f"an adapter has at most {limits.max_files} files")
    sizes = [os.lstat(directory / name).st_size for name in names]
    if sum(sizes) > limits.max_total_bytes:
        raise TooManyBytes(
            f"the adapter has {sum(sizes)} bytes, at most {limits.max_total_bytes} are read"
        )
    return names


@contextmanager
def _opened(path: Path, max_bytes: int) -> Iterator[tuple[BinaryIO, int]]:
    with open_regular(path) as file:
        num_bytes = os.fstat(file.fileno()).st_size
        if num_bytes > max_bytes:
            raise TooManyBytes(
                f"{path.name} has {num_bytes} bytes, at most {max_bytes} are read", name=path.name
            )
        yield file, num_bytes
