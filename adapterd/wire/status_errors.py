"""Maps gRPC and HTTP statuses to the client's errors. The only module that reads statuses."""

from __future__ import annotations

import grpc
import httpx

from adapterd.errors import (
    AdapterdError,
    BadSetting,
    Conflict,
    DeadlineExceeded,
    Forbidden,
    NotFound,
    Overloaded,
    Refused,
    ServerFailed,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

_BY_GRPC_STATUS: dict[grpc.StatusCode, type[AdapterdError]] = {
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.INVALID_ARGUMENT: Refused,
    grpc.StatusCode.OUT_OF_RANGE: Refused,
    grpc.StatusCode.FAILED_PRECONDITION: Conflict,
    grpc.StatusCode.ABORTED: Conflict,
    grpc.StatusCode.ALREADY_EXISTS: Conflict,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: Forbidden,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
}
_BY_HTTP_STATUS: dict[int, type[AdapterdError]] = {
    400: Refused,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    422: Refused,
    429: Overloaded,
    503: Unavailable,
    504: DeadlineExceeded,
}
_TOO_LARGE_CODES = ("body_too_large", "file_too_large", "too_many_bytes")
#: trailing metadata with the server's error code and the request's id
CODE_KEY = "adapterd-code"
REQUEST_KEY = "x-request-id"


def from_grpc(error: grpc.RpcError) -> AdapterdError:
    """The typed error of a failed call; synchronous and asyncio calls raise different classes."""
    assert isinstance(error, grpc.Call | grpc.aio.AioRpcError)
    trailers = {key: _to_text(value) for key, value in error.trailing_metadata() or ()}
    kind = _BY_GRPC_STATUS.get(error.code(), ServerFailed)
    if trailers.get(CODE_KEY) in _TOO_LARGE_CODES or _is_too_large(error):
        kind = TooLarge
    return kind(
        error.details() or None,
        problem=trailers.get(CODE_KEY),
        request_id=trailers.get(REQUEST_KEY),
    )


def _is_too_large(error: grpc.Call | grpc.aio.AioRpcError) -> bool:
    """gRPC refuses messages above its limit with the status of an overload, but retrying them is
    useless.
    """
    is_exhausted = error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    return is_exhausted and "larger than max" in (error.details() or "")


def from_response(response: httpx.Response) -> AdapterdError:
    """The typed error of a response with an error status."""
    kind = _BY_HTTP_STATUS.get(response.status_code, ServerFailed)
    problem = _read_problem(response)
    if kind is NotFound and not problem:
        kind = BadSetting  # another server, which says nothing about what was looked for
    return kind(
        problem.get("detail")
        or f"{response.request.url} answered {response.status_code} without adapterd's error "
        "document; is it the HTTP address of adapterd, or does a proxy answer for it?",
        problem=problem.get("code"),
        request_id=problem.get("request_id") or response.headers.get(REQUEST_KEY),
    )


def from_transport(error: httpx.TransportError) -> AdapterdError:
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return DeadlineExceeded(f"{error.request.url} did not answer in time: {error}")
    return Unavailable(f"{error.request.url} cannot be reached: {error}")


def _read_problem(response: httpx.Response) -> dict[str, str]:
    """The fields of a problem document; empty if a proxy and not the server responded."""
    if "json" not in response.headers.get("content-type", ""):
        return {}
    try:
        body = response.json()
    except ValueError:
        return {}
    return {k: v for k, v in body.items() if isinstance(v, str)} if isinstance(body, dict) else {}


def _to_text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")
