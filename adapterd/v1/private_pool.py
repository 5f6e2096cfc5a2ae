"""The descriptor pool that holds the messages of `adapterd.v1`, and the classes made from it.

It is not protobuf's default pool, in which a message can be registered only once per process: a
program may have its own stubs generated from the same .proto files. Knows no message by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import struct_pb2, timestamp_pb2
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

POOL = DescriptorPool()


def add_file(serialized: bytes) -> FileDescriptor:
    """Registers a .proto file; its imports must have been registered before."""
    return POOL.AddSerializedFile(serialized)


def message_classes(file: FileDescriptor) -> dict[str, type[Message]]:
    """The file's message classes by name; a nested message is an attribute of its parent."""
    return {name: GetMessageClass(message) for name, message in file.message_types_by_name.items()}


#: the well-known types of this pool; the classes in `google.protobuf` belong to the default pool
if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Struct as Struct
    from google.protobuf.timestamp_pb2 import Timestamp as Timestamp
else:
    Struct = message_classes(add_file(struct_pb2.DESCRIPTOR.serialized_pb))["Struct"]
    Timestamp = message_classes(add_file(timestamp_pb2.DESCRIPTOR.serialized_pb))["Timestamp"]
