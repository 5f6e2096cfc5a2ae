"""Every gRPC method passes here: who calls and may they, errors to statuses, one metric. Knows no
resource.

A method without a role in `ROLES` stops the server from starting, so that no method is open by
oversight.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from server.doorkeeper import Doorkeeper, request_id_of, require
from server.error_table import Fault, fault_of
from server.errors import Draining, StartFailed
from server.grpc_api.faults import trailers_of
from server.health import Health
from server.metrics import Metrics
from server.service.values import Caller, Role

_log = logging.getLogger(__name__)

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
#: methods answered without a key
PUBLIC = frozenset(
    {"grpc.health.v1.Health.Check", "grpc.health.v1.Health.Watch", "grpc.health.v1.Health.List"}
)

Unary = Callable[[Any, Caller], Awaitable[Any]]
Stream = Callable[[Any, Caller], AsyncGenerator[Any, None]]
Context = Any  # grpc.aio.ServicerContext is generic in stubs and not at run time


class Gate:
    """Wraps plain methods `(request, caller)` into gRPC handlers."""

    def __init__(self, *, doorkeeper: Doorkeeper, metrics: Metrics, health: Health) -> None:
        self._doorkeeper = doorkeeper
        self._health = health
        self._metrics = metrics

    def handlers(self, service: ServiceDescriptor, api: object) -> dict[str, Any]:
        """A handler for each method of the service; `api` has a method of the same name in snake
        case.
        """
        return {
            method.name: self._handler(method, getattr(api, _snake(method.name)))
            for method in service.methods
        }

    def _handler(self, method: MethodDescriptor, answer: Any) -> Any:
        shapes: dict[tuple[bool, bool], tuple[Any, Any]] = {
            (False, False): (grpc.unary_unary_rpc_method_handler, self.unary),
            (True, False): (grpc.stream_unary_rpc_method_handler, self.unary),
            (False, True): (grpc.unary_stream_rpc_method_handler, self.stream),
            (True, True): (grpc.stream_stream_rpc_method_handler, self.stream),
        }
        factory, wrap = shapes[method.client_streaming, method.server_streaming]
        return factory(
            wrap(
                method.full_name, answer, names_digest="digest" in method.output_type.fields_by_name
            ),
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=GetMessageClass(method.output_type).SerializeToString,
        )

    def unary(self, name: str, answer: Unary, *, names_digest: bool = False) -> Any:
        role = _role(name)

        async def call(request: Any, context: Context) -> Any:
            started = time.perf_counter()
            request_id, code = "", "cancelled"
            try:
                caller = self._caller(context, role)
                request_id = caller.request_id
                response = await answer(request, caller)
                code = "ok"
                trailers = (("x-request-id", request_id),)
                context.set_trailing_metadata(
                    (*trailers, ("x-adapterd-digest", response.digest))
                    if names_digest
                    else trailers
                )
                return response
            except Exception as error:  # noqa: BLE001 a transport translates whatever comes
                fault, request_id = self._fault(error, name, request_id, context)
                code = fault.code
                await context.abort(
                    fault.outside.grpc, fault.message, trailers_of(fault, request_id)
                )
            finally:
                self._observe(name, code, started)

        return call

    def stream(self, name: str, answer: Stream, *, names_digest: bool = False) -> Any:
        del names_digest  # a stream's messages name their digest themselves
        role = _role(name)

        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            started = time.perf_counter()
            request_id, code = "", "cancelled"
            try:
                caller = self._caller(context, role)
                request_id = caller.request_id
                # closed here and now if the caller hangs up, with whatever the answer holds
                async with aclosing(answer(request, caller)) as responses:
                    async for response in responses:
                        yield response
                code = "ok"
                context.set_trailing_metadata((("x-request-id", request_id),))
            except Exception as error:  # noqa: BLE001 a transport translates whatever comes
                fault, request_id = self._fault(error, name, request_id, context)
                code = fault.code
                await context.abort(
                    fault.outside.grpc, fault.message, trailers_of(fault, request_id)
                )
            finally:
                self._observe(name, code, started)

        return call

    def _caller(self, context: Context, role: Role) -> Caller:
        authorization = given_id = None
        for key, value in context.invocation_metadata() or ():
            if key == "authorization":
                authorization = value
            elif key == "x-request-id":
                given_id = value
        remaining = context.time_remaining()
        deadline = None if remaining is None else time.monotonic() + remaining
        caller = self._doorkeeper.caller(authorization, request_id_of(given_id), deadline)
        require(caller, role)
        # gRPC cancels what its transport still holds when it shuts down, and a cancelled call is
        # not tried again: refused ones are, so callers must be turned away before that
        if self._health.is_draining:
            raise Draining
        return caller

    def _fault(
        self, error: Exception, name: str, request_id: str, context: Context
    ) -> tuple[Fault, str]:
        fault = fault_of(error)
        request_id = request_id or request_id_of(
            dict(context.invocation_metadata() or ()).get("x-request-id")
        )
        if not fault.outside.public:
            _log.error(
                "a call failed",
                exc_info=error,
                extra={"action": "call.failed", "method": name, "request_id": request_id},
            )
        return fault, request_id

    def _observe(self, name: str, code: str, started: float) -> None:
        method = name.rpartition(".")[2]
        self._metrics.request(
            transport="grpc", method=method, code=code, seconds=time.perf_counter() - started
        )


def _role(name: str) -> Role:
    if name not in ROLES:
        raise StartFailed(f"the gRPC method {name} has no role in the table")
    return ROLES[name]


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip(
        "_"
    )
