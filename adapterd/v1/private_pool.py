"""The descriptor pool that holds the messages of `adapterd.v1`, and the classes made from it.

The pool is not protobuf's default one: there a message can be registered once per process, and a
program may have stubs of its own, generated from the same .proto files. Knows no message by name.
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
    """Registers a .proto file; those it imports must have been registered before."""
    return POOL.AddSerializedFile(serialized)


def message_classes(file: FileDescriptor) -> dict[str, type[Message]]:
    """The classes of the file's messages by name; nested messages are attributes of theirs."""
    return {name: GetMessageClass(found) for name, found in file.message_types_by_name.items()}


#: what a message of this pool holds; the classes in `google.protobuf` are those of the default one
if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Struct as Struct
    from google.protobuf.timestamp_pb2 import Timestamp as Timestamp
else:
    Struct = message_classes(add_file(struct_pb2.DESCRIPTOR.serialized_pb))["Struct"]
    Timestamp = message_classes(add_file(timestamp_pb2.DESCRIPTOR.serialized_pb))["Timestamp"]
