"""Server reflection, v1 and v1alpha: the same messages under two package names.

The library has only v1alpha.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import Any

from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection, reflection_pb2

from server.auth.caller import Caller

# generated modules give their descriptors a type of protobuf's own insides
_FILE: Any = reflection_pb2.DESCRIPTOR
_OLD, _NEW = _FILE.package, "grpc.reflection.v1"
DESCRIPTOR: ServiceDescriptor = _FILE.services_by_name["ServerReflection"]
#: the services, the newer first
SERVICES = (f"{_NEW}.ServerReflection", f"{_OLD}.ServerReflection")


class ReflectionApi:
    """Lists `services` and describes their files."""

    def __init__(self, services: Iterable[str], files: Iterable[FileDescriptor]) -> None:
        pool = _build_pool([*files, _FILE])
        pool.AddSerializedFile(_convert_to_v1(_FILE.serialized_pb))
        self._servicer: Any = reflection.aio.ReflectionServicer(services, pool)

    async def server_reflection_info(
        self, requests: AsyncIterator[Any], caller: Caller
    ) -> AsyncGenerator[Any, None]:
        del caller  # what is reflected is public to every key
        async for response in self._servicer.ServerReflectionInfo(requests, None):
            yield response


def _convert_to_v1(serialized: bytes) -> bytes:
    """The v1alpha file as v1, so that the newer service can be described too."""
    file = FileDescriptorProto.FromString(serialized)
    file.name, file.package = file.name.replace("v1alpha", "v1"), _NEW
    for message in file.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = field.type_name.replace(f".{_OLD}.", f".{_NEW}.")
    for service in file.service:
        for method in service.method:
            method.input_type = method.input_type.replace(f".{_OLD}.", f".{_NEW}.")
            method.output_type = method.output_type.replace(f".{_OLD}.", f".{_NEW}.")
    return bytes(file.SerializeToString())


def _build_pool(files: Iterable[FileDescriptor]) -> DescriptorPool:
    """One pool of these files and their imports, because reflection reads one pool: the contract's
    files are in a private pool, and those of gRPC's services in protobuf's default one.
    """
    pool = DescriptorPool()
    for file in files:
        _add(pool, file)
    return pool


def _add(pool: DescriptorPool, file: FileDescriptor) -> None:
    for imported in file.dependencies:
        _add(pool, imported)
    pool.AddSerializedFile(file.serialized_pb)
