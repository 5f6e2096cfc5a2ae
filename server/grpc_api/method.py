"""One gRPC method, as the gate has to know it."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from server.auth.caller import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """`role` is none where no key is asked for. `label` is its name among the metrics."""

    name: str
    label: str
    role: Role | None
    request: type[Message]
    reads_stream: bool = False
    answers_stream: bool = False
    #: whether the answer has a digest, which the trailers repeat
    names_digest: bool = False

    @classmethod
    def of(cls, described: MethodDescriptor, service: str, role: Role | None) -> Method:
        """As the contract describes it, under the name of that service."""
        answers_stream: bool = described.server_streaming
        return cls(
            name=f"{service}.{described.name}",
            label=described.name if role is not None else f"Health.{described.name}",
            role=role,
            request=GetMessageClass(described.input_type),
            reads_stream=described.client_streaming,
            answers_stream=answers_stream,
            names_digest="digest" in described.output_type.fields_by_name and not answers_stream,
        )

    @property
    def is_stream(self) -> bool:
        return self.reads_stream or self.answers_stream
