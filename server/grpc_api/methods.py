"""The gRPC methods of this server: the role that each needs, and its request and response.

The server does not start with a method that has no role in `ROLES`, so none is open by mistake.
"""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from server.auth.caller import Role
from server.errors import StartFailed
from server.metrics.metrics import UNMATCHED

ROLES: dict[str, Role] = {
    "adapterd.v1.Predictor.Predict": Role.USE,
    "adapterd.v1.Predictor.PredictStream": Role.USE,
    "adapterd.v1.Predictor.PredictMany": Role.USE,
    "adapterd.v1.Tasks.ListTasks": Role.READ,
    "adapterd.v1.Tasks.GetTask": Role.READ,
    "adapterd.v1.Tasks.DeleteTask": Role.ADMIN,
    "adapterd.v1.Adapters.Register": Role.ADMIN,
    "adapterd.v1.Adapters.ListVersions": Role.READ,
    "adapterd.v1.Adapters.GetVersion": Role.READ,
    "adapterd.v1.Adapters.Promote": Role.ADMIN,
    "adapterd.v1.Adapters.Rollback": Role.ADMIN,
    "adapterd.v1.Adapters.DeleteAlias": Role.ADMIN,
    "adapterd.v1.Adapters.AliasHistory": Role.READ,
    "adapterd.v1.Adapters.Export": Role.READ,
    "adapterd.v1.Adapters.DeleteVersion": Role.ADMIN,
    "adapterd.v1.Checks.CheckFile": Role.ADMIN,
    "adapterd.v1.Jobs.CreateJob": Role.ADMIN,
    "adapterd.v1.Jobs.GetJob": Role.READ,
    "adapterd.v1.Jobs.ListJobs": Role.READ,
    "adapterd.v1.Jobs.CancelJob": Role.ADMIN,
    "adapterd.v1.Jobs.PauseJob": Role.ADMIN,
    "adapterd.v1.Jobs.ResumeJob": Role.ADMIN,
    "adapterd.v1.Jobs.ListJobEvents": Role.READ,
    "adapterd.v1.Jobs.EstimateJob": Role.ADMIN,
    "adapterd.v1.Jobs.WatchJob": Role.READ,
    "adapterd.v1.Jobs.Watch": Role.READ,
    "grpc.reflection.v1.ServerReflection.ServerReflectionInfo": Role.READ,
    "grpc.reflection.v1alpha.ServerReflection.ServerReflectionInfo": Role.READ,
}
#: services that need no key
PUBLIC = frozenset({"grpc.health.v1.Health"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One method. A `role` of None means that it needs no key; `label` names it in metrics."""

    name: str
    label: str
    role: Role | None
    request: type[Message]
    reads_stream: bool = False
    answers_stream: bool = False
    #: whether the response has a digest, which the trailers repeat
    names_digest: bool = False

    @classmethod
    def of(cls, descriptor: MethodDescriptor, service: str, role: Role | None) -> Method:
        """The method that the contract describes, under the name of `service`."""
        answers_stream: bool = descriptor.server_streaming
        return cls(
            name=f"{service}.{descriptor.name}",
            label=descriptor.name if role is not None else f"Health.{descriptor.name}",
            role=role,
            request=GetMessageClass(descriptor.input_type),
            reads_stream=descriptor.client_streaming,
            answers_stream=answers_stream,
            names_digest="digest" in descriptor.output_type.fields_by_name and not answers_stream,
        )

    @property
    def is_stream(self) -> bool:
        return self.reads_stream or self.answers_stream


def methods_of(service: ServiceDescriptor, name: str | None = None) -> dict[str, Method]:
    """The service's methods by their own names; `name` replaces the service's name where one
    service is offered under two. Raises StartFailed for a method that has no role.
    """
    name = name or service.full_name
    return {
        method.name: Method.of(method, name, _role(name, method.name)) for method in service.methods
    }


def unknown_method(name: str) -> Method:
    """What stands for a method that this server does not have: it asks for a key like any other."""
    return Method(
        name=name,
        label=UNMATCHED,
        role=Role.READ,
        request=Empty,
        reads_stream=True,
        answers_stream=True,
    )


def _role(service: str, method: str) -> Role | None:
    if service in PUBLIC:
        return None
    name = f"{service}.{method}"
    if name not in ROLES:
        raise StartFailed(f"the gRPC method {name} has no role in the table")
    return ROLES[name]
