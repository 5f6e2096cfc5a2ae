"""Builds gRPC stubs from a service's descriptor. Knows no service by name."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass


def stub_class(service: ServiceDescriptor) -> type:
    """A class that is constructed with a channel and has one callable per method of the service."""

    def __init__(self: Any, channel: Any) -> None:  # noqa: N807 it becomes the class's constructor
        for method in service.methods:
            setattr(self, method.name, _make_callable(channel, method))

    return type(f"{service.name}Stub", (), {"__init__": __init__, "__doc__": service.full_name})


def _make_callable(channel: Any, method: MethodDescriptor) -> Any:
    arity = ("unary", "stream")
    shape = f"{arity[method.client_streaming]}_{arity[method.server_streaming]}"
    return getattr(channel, shape)(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=GetMessageClass(method.input_type).SerializeToString,
        response_deserializer=GetMessageClass(method.output_type).FromString,
        _registered_method=True,
    )
