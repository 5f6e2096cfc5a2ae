"""The interceptors of every gRPC call: errors to statuses, metrics, authentication.

Knows methods, callers and errors, but no resource and no message.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from typing import Any

import grpc

from adapters_registry.audit.actor import act_from_now
from server.audit import note_fault
from server.auth.authenticator import Authenticator, request_id_of, require
from server.auth.caller import Caller
from server.auth.revocation import while_confirmed
from server.error_table import fault_of
from server.errors import Draining
from server.grpc_api.caller_context import known_caller, set_caller
from server.grpc_api.calls import Calls
from server.grpc_api.connections import GrpcConnections
from server.grpc_api.messages import Context
from server.grpc_api.methods import Method, unknown_method
from server.grpc_api.status import message_of, trailers_of
from server.health import Health
from server.metrics.metrics import Metrics

Handler = Any  # grpc.RpcMethodHandler is generic in stubs and not at run time
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler]]


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Runs every call within `around`, which sees what the call raises and may raise itself."""

    def __init__(self, methods: Mapping[str, Method]) -> None:
        """`methods` by path, such as `/package.Service/Method`; it may be filled later."""
        self._methods = methods

    def around(self, method: Method, context: Context) -> AbstractAsyncContextManager[None]:
        raise NotImplementedError

    def responses(self, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """Wraps a stream of responses."""
        return stream

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        handler = await continuation(handler_call_details)
        path = handler_call_details.method
        method = self._methods.get(path) or unknown_method(path)
        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(self._stream(method, handler))
        return grpc.stream_unary_rpc_method_handler(self._unary(method, handler))

    def _unary(self, method: Method, handler: Handler) -> Any:
        async def call(requests: object, context: Context) -> bytes:
            async with self.around(method, context):
                response: bytes = await handler.stream_unary(requests, context)
                return response

        return call

    def _stream(self, method: Method, handler: Handler) -> Any:
        async def call(requests: object, context: Context) -> AsyncIterator[bytes]:
            async with (
                self.around(method, context),
                aclosing(handler.stream_stream(requests, context)) as inner,
                aclosing(self.responses(inner)) as responses,
            ):
                async for response in responses:
                    yield response

        return call


class ErrorInterceptor(CallInterceptor):
    """Converts the exception of a call into status, message and trailers, and logs it."""

    @asynccontextmanager
    async def around(self, method: Method, context: Context) -> AsyncGenerator[None, None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 a transport translates every exception
            fault, caller = fault_of(error), known_caller()
            request_id = caller.request_id if caller else request_id_of(_header(context))
            note_fault(error, fault, method=method.name, request_id=request_id, caller=caller)
            await context.abort(
                fault.outside.grpc, message_of(fault), trailers_of(fault, request_id)
            )


class MetricsInterceptor(CallInterceptor):
    """Counts every call with its duration and code."""

    def __init__(self, methods: Mapping[str, Method], metrics: Metrics) -> None:
        super().__init__(methods)
        self._metrics = metrics

    @asynccontextmanager
    async def around(self, method: Method, context: Context) -> AsyncGenerator[None, None]:
        del context
        started, code = time.perf_counter(), "cancelled"
        try:
            yield
            code = "ok"
        except Exception as error:
            code = fault_of(error).code
            raise
        finally:
            seconds = time.perf_counter() - started
            self._metrics.observe_request(
                transport="grpc", method=method.label, code=code, seconds=seconds
            )


class AuthInterceptor(CallInterceptor):
    """Accepts calls whose key is valid and has the method's role, within the limit of calls.

    A stream ends once its caller's key is revoked. Methods without a role need no key.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        *,
        authenticator: Authenticator,
        health: Health,
        calls: Calls,
        connections: GrpcConnections,
    ) -> None:
        super().__init__(methods)
        self._authenticator = authenticator
        self._health = health
        self._calls = calls
        self._connections = connections

    @asynccontextmanager
    async def around(self, method: Method, context: Context) -> AsyncGenerator[None, None]:
        if method.role is None:
            yield
            return
        caller = self._authenticate(context)
        set_caller(caller)
        act_from_now(caller.actor)
        require(caller, method.role)
        # gRPC cancels calls in its transport when it shuts down, and clients do not retry cancelled
        # calls; they retry refused ones, so calls are refused before that
        if self._health.is_draining:
            raise Draining
        self._connections.note_call(context.peer())
        with self._calls.track(caller.tenant, is_stream=method.is_stream):
            yield

    def responses(self, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        caller = known_caller()
        if caller is None:
            return stream
        return while_confirmed(stream, partial(self._authenticator.confirm, caller))

    def _authenticate(self, context: Context) -> Caller:
        remaining = context.time_remaining()
        deadline = None if remaining is None else time.monotonic() + remaining
        request_id = request_id_of(_header(context))
        return self._authenticator.caller(_header(context, "authorization"), request_id, deadline)


def _header(context: Context, name: str = "x-request-id") -> str | None:
    """The last value of the header."""
    value: str | None = dict(context.invocation_metadata() or ()).get(name)
    return value
