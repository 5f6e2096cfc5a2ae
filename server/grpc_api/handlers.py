"""The methods of the APIs as gRPC handlers: parses requests and serializes responses.

gRPC would parse a message before any interceptor runs. Every method is therefore registered as a
stream of bytes, and its message is parsed here, after the interceptors have accepted the call.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

import grpc

from server.auth.caller import Caller
from server.errors import UnknownMethod
from server.grpc_api.caller_context import current_caller
from server.grpc_api.messages import Context, read_request, read_requests
from server.grpc_api.methods import Method, unknown_method

Handler = Any  # grpc.RpcMethodHandler is generic in stubs and not at run time

#: called with a request, or an iterator of requests, and the caller; a public service gets the
#: peer's address instead of a caller
Unary = Callable[[Any, Any], Awaitable[Any]]
Stream = Callable[[Any, Any], AsyncGenerator[Any, None]]


def make_handlers(
    methods: Mapping[str, Method], api: object, max_message_bytes: int
) -> dict[str, Handler]:
    """One handler for each method; `api` has a method of the same name in snake case."""
    return {
        name: _handler(method, getattr(api, _snake_case(name)), max_message_bytes)
        for name, method in methods.items()
    }


class UnknownMethods(grpc.GenericRpcHandler):
    """Refuses methods that no handler has, after the caller is authenticated."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler:
        name = handler_call_details.method

        async def refuse(requests: object, caller: Caller) -> AsyncGenerator[Any, None]:
            del requests, caller
            raise UnknownMethod(f"There is no method {name[:100]!r}.")
            yield  # makes it a generator

        return _handler(unknown_method(name), refuse, 0)


def _handler(method: Method, answer: Any, max_bytes: int) -> Handler:
    if method.answers_stream:
        return grpc.stream_stream_rpc_method_handler(_stream_call(method, answer, max_bytes))
    return grpc.stream_unary_rpc_method_handler(_unary_call(method, answer, max_bytes))


def _unary_call(method: Method, answer: Unary, max_bytes: int) -> Any:
    async def call(_: object, context: Context) -> bytes:
        caller = current_caller(context)
        response = await answer(await _read(method, context, max_bytes), caller)
        trailers = _trailers(caller)
        if method.names_digest:
            trailers += (("x-adapterd-digest", response.digest),)
        context.set_trailing_metadata(trailers)
        return bytes(response.SerializeToString())

    return call


def _stream_call(method: Method, answer: Stream, max_bytes: int) -> Any:
    async def call(_: object, context: Context) -> AsyncIterator[bytes]:
        caller = current_caller(context)
        request = await _read(method, context, max_bytes)
        # closed at once if the caller disconnects, with everything the response holds
        async with aclosing(answer(request, caller)) as responses:
            async for response in responses:
                yield response.SerializeToString()
        context.set_trailing_metadata(_trailers(caller))

    return call


async def _read(method: Method, context: Context, max_bytes: int) -> Any:
    if method.reads_stream:
        return read_requests(method, context, max_bytes)
    return await read_request(method, context, max_bytes)


def _trailers(caller: Caller | str) -> tuple[tuple[str, str], ...]:
    return () if isinstance(caller, str) else (("x-request-id", caller.request_id),)


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip(
        "_"
    )
