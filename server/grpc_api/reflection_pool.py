"""The descriptors that reflection tells of, in one pool. Knows no server."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool


def reflection_pool(files: Iterable[FileDescriptor]) -> DescriptorPool:
    """A pool of these files and all they import. Ours have a private pool, those of gRPC's own
    services are in protobuf's default one, and reflection looks into one pool.
    """
    pool = DescriptorPool()
    for file in files:
        _add(pool, file)
    return pool


def _add(pool: DescriptorPool, file: FileDescriptor) -> None:
    for imported in file.dependencies:
        _add(pool, imported)
    pool.AddSerializedFile(file.serialized_pb)
