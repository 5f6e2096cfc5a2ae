"""Every gRPC method passes here: who calls and may they, errors to statuses, one metric. Knows no
resource.

A method without a role in `ROLES` stops the server from starting, so that no method is open by
oversight.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.empty_pb2 import Empty

from server.audit import note_fault
from server.auth.authenticator import Authenticator, request_id_of, require
from server.auth.caller import Caller, Role
from server.auth.revocation import while_confirmed
from server.error_table import Fault, fault_of
from server.errors import Draining, StartFailed, UnknownMethod
from server.grpc_api.calls import Calls
from server.grpc_api.connections import GrpcConnections
from server.grpc_api.messages import Context, read_request, read_requests
from server.grpc_api.method import Method
from server.grpc_api.status import message_of, trailers_of
from server.health import Health
from server.metrics.metrics import UNMATCHED, Metrics

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
#: services answered without a key
PUBLIC = frozenset({"grpc.health.v1.Health"})
_UNKNOWN = Method(
    name="", label=UNMATCHED, role=Role.READ, request=Empty, reads_stream=True, answers_stream=True
)

#: a method's answer to a request, or to an iterator of them, and to the caller; of a public service
#: to the peer's address instead
Unary = Callable[[Any, Any], Awaitable[Any]]
Stream = Callable[[Any, Any], AsyncGenerator[Any, None]]


class AccessInterceptor:
    """Wraps plain methods `(request, caller)` into gRPC handlers.

    gRPC would read and parse a call's message before it asks any handler. Every method is
    therefore a stream of bytes to it, which is read here, after the key.
    """

    def __init__(
        self,
        *,
        doorkeeper: Authenticator,
        metrics: Metrics,
        health: Health,
        calls: Calls,
        connections: GrpcConnections,
        max_message_bytes: int,
    ) -> None:
        self._doorkeeper = doorkeeper
        self._health = health
        self._metrics = metrics
        self._calls = calls
        self._connections = connections
        self._max_bytes = max_message_bytes

    def handlers(
        self, service: ServiceDescriptor, api: object, name: str | None = None
    ) -> dict[str, Any]:
        """A handler for each method of the service; `api` has a method of the same name in snake
        case. `name` is the service's where it is another's under a second name.
        """
        name = name or service.full_name
        return {
            each.name: self._handler(
                Method.of(each, name, None if name in PUBLIC else _role(f"{name}.{each.name}")),
                getattr(api, _snake(each.name)),
            )
            for each in service.methods
        }

    def unknown(self) -> grpc.GenericRpcHandler:
        """Answers what no handler does."""
        return _Unknown(self)

    def unknown_handler(self, name: str) -> Any:
        async def refuse(requests: object, caller: Caller) -> AsyncGenerator[Any, None]:
            del requests, caller
            raise UnknownMethod(f"There is no method {name[:100]!r}.")
            yield  # which makes it a stream

        return self._handler(replace(_UNKNOWN, name=name), refuse)

    def _handler(self, method: Method, answer: Any) -> Any:
        if method.answers_stream:
            return grpc.stream_stream_rpc_method_handler(self._stream(method, answer))
        return grpc.stream_unary_rpc_method_handler(self._unary(method, answer))

    def _unary(self, method: Method, answer: Unary) -> Any:
        async def call(_: object, context: Context) -> bytes:
            async with self._guarded(method, context) as caller:
                response = await answer(await self._request(method, context), caller)
                trailers = _trailers(caller)
                if method.names_digest:
                    trailers += (("x-adapterd-digest", response.digest),)
                context.set_trailing_metadata(trailers)
                return bytes(response.SerializeToString())

        return call

    def _stream(self, method: Method, answer: Stream) -> Any:
        async def call(_: object, context: Context) -> AsyncIterator[bytes]:
            async with self._guarded(method, context) as caller:
                request = await self._request(method, context)
                # closed here and now if the caller hangs up, with whatever the answer holds
                async with (
                    aclosing(answer(request, caller)) as responses,
                    aclosing(while_confirmed(responses, self._confirms(caller))) as confirmed,
                ):
                    async for response in confirmed:
                        yield response.SerializeToString()
                context.set_trailing_metadata(_trailers(caller))

        return call

    @asynccontextmanager
    async def _guarded(self, method: Method, context: Context) -> AsyncGenerator[Any, None]:
        """Around one call: who calls and may they, then whatever it does. What is raised becomes
        its status, and all of it is counted.
        """
        started = time.perf_counter()
        caller, code = None, "cancelled"
        try:
            if method.role is None:
                yield context.peer()
            else:
                caller = self._caller(context)
                self._admit(caller, method.role)
                self._connections.note_call(context.peer())
                with self._calls.entered(caller.tenant, is_stream=method.is_stream):
                    yield caller
            code = "ok"
        except Exception as error:  # noqa: BLE001 a transport translates whatever comes
            fault, request_id = self._fault(error, method.name, caller, context)
            code = fault.code
            await context.abort(
                fault.outside.grpc, message_of(fault), trailers_of(fault, request_id)
            )
        finally:
            self._metrics.request(
                transport="grpc",
                method=method.label,
                code=code,
                seconds=time.perf_counter() - started,
            )

    async def _request(self, method: Method, context: Context) -> Any:
        if method.reads_stream:
            return read_requests(method, context, self._max_bytes)
        return await read_request(method, context, self._max_bytes)

    def _confirms(self, caller: Caller | str) -> Callable[[], None]:
        """Of a public service there is nothing to confirm."""
        if isinstance(caller, str):
            return lambda: None
        return partial(self._doorkeeper.confirm, caller)

    def _caller(self, context: Context) -> Caller:
        authorization = given_id = None
        for key, value in context.invocation_metadata() or ():
            if key == "authorization":
                authorization = value
            elif key == "x-request-id":
                given_id = value
        remaining = context.time_remaining()
        deadline = None if remaining is None else time.monotonic() + remaining
        return self._doorkeeper.caller(authorization, request_id_of(given_id), deadline)

    def _admit(self, caller: Caller, role: Role) -> None:
        require(caller, role)
        # gRPC cancels what its transport still holds when it shuts down, and a cancelled call is
        # not tried again: refused ones are, so callers must be turned away before that
        if self._health.is_draining:
            raise Draining

    def _fault(
        self, error: Exception, name: str, caller: Caller | None, context: Context
    ) -> tuple[Fault, str]:
        fault = fault_of(error)
        given = dict(context.invocation_metadata() or ()).get("x-request-id")
        request_id = caller.request_id if caller else request_id_of(given)
        note_fault(error, fault, method=name, request_id=request_id, caller=caller)
        return fault, request_id


class _Unknown(grpc.GenericRpcHandler):
    def __init__(self, gate: AccessInterceptor) -> None:
        self._gate = gate

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return self._gate.unknown_handler(handler_call_details.method)


def _trailers(caller: Caller | str) -> tuple[tuple[str, str], ...]:
    return () if isinstance(caller, str) else (("x-request-id", caller.request_id),)


def _role(name: str) -> Role:
    if name not in ROLES:
        raise StartFailed(f"the gRPC method {name} has no role in the table")
    return ROLES[name]


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip(
        "_"
    )
