"""What a transport reports, as the client's error tree. The only place that reads statuses."""

from __future__ import annotations

import grpc
import httpx

from adapterd.errors import (
    AdapterdError,
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

_BY_STATUS: dict[grpc.StatusCode, type[AdapterdError]] = {
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
_BY_HTTP: dict[int, type[AdapterdError]] = {
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
_TOO_LARGE = ("body_too_large", "file_too_large", "too_many_bytes")
#: trailing metadata in which the server names its stable code and the call
CODE_KEY = "adapterd-code"
REQUEST_KEY = "x-request-id"


def from_grpc(error: grpc.RpcError) -> AdapterdError:
    """The typed error of a failed call; sync and asyncio calls tell it in two classes."""
    assert isinstance(error, grpc.Call | grpc.aio.AioRpcError)
    trailers = {key: _text(value) for key, value in error.trailing_metadata() or ()}
    kind = _BY_STATUS.get(error.code(), ServerFailed)
    if trailers.get(CODE_KEY) in _TOO_LARGE or _is_too_large(error):
        kind = TooLarge
    return kind(
        error.details() or None,
        problem=trailers.get(CODE_KEY),
        request_id=trailers.get(REQUEST_KEY),
    )


def _is_too_large(error: grpc.Call | grpc.aio.AioRpcError) -> bool:
    """gRPC itself refuses the largest messages, here or at the server, by the status of overload:
    trying again is of no use.
    """
    is_exhausted = error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    return is_exhausted and "larger than max" in (error.details() or "")


def from_response(response: httpx.Response) -> AdapterdError:
    """The typed error of an answer whose status says failure."""
    kind = _BY_HTTP.get(response.status_code, ServerFailed)
    problem = _problem(response)
    return kind(
        problem.get("detail") or f"{response.request.url} answered {response.status_code}",
        problem=problem.get("code"),
        request_id=problem.get("request_id") or response.headers.get(REQUEST_KEY),
    )


def from_transport(error: httpx.TransportError) -> AdapterdError:
    kind = DeadlineExceeded if isinstance(error, httpx.TimeoutException) else Unavailable
    return kind(f"{error.request.url} cannot be reached: {error}")


def _problem(response: httpx.Response) -> dict[str, str]:
    """The fields of a problem document; empty if something between us and the server answered."""
    if "json" not in response.headers.get("content-type", ""):
        return {}
    try:
        body = response.json()
    except ValueError:
        return {}
    return {k: v for k, v in body.items() if isinstance(v, str)} if isinstance(body, dict) else {}


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")
