"""Errors in the shape of OpenAI's API. Which routes have it is decided by their class."""

from __future__ import annotations

import re
from typing import TypedDict

import msgspec
from starlette.responses import Response

from server.error_table import NOT_FOUND, Fault

#: paths of OpenAI's API that no route answers: its clients get its shape of errors there
_LACKING = re.compile(
    r"/v1/(assistants|audio|batches|chatkit|containers|conversations|edits|engines|evals|images|"
    r"moderations|organization|realtime|responses|skills|threads|uploads|vector_stores|videos)"
    r"(/|$)"
)
#: codes that OpenAI's clients look for by other names than ours
_CODES = {
    "unauthenticated": "invalid_api_key",
    "unknown_task": "model_not_found",
    "unknown_version": "model_not_found",
    "unknown_alias": "model_not_found",
    "bad_name": "model_not_found",
    "input_too_long": "context_length_exceeded",
    "overloaded": "rate_limit_exceeded",
}
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
}


class ErrorDetail(TypedDict):
    """What went wrong, for the client's typed exceptions."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorBody(TypedDict):
    """OpenAI's error."""

    error: ErrorDetail


def is_lacking(path: str) -> bool:
    """Whether OpenAI's API has the path, or one above it, and this server has no such route."""
    return _LACKING.match(path) is not None


def no_such_route(path: str) -> Fault:
    lacking = _LACKING.match(path)
    what = f"/v1/{lacking[1]}" if lacking else "such path"
    return Fault(
        code="no_such_route",
        message=f"There is no {what} here; of OpenAI's API this server has chat completions, "
        "completions, embeddings, models, files and fine-tuning jobs.",
        outside=NOT_FOUND,
    )


def document(fault: Fault) -> ErrorBody:
    status = status_of(fault)
    kind = "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")
    code = _CODES.get(fault.code, fault.code)
    param = "model" if code == "model_not_found" else fault.param
    return ErrorBody(error=ErrorDetail(message=fault.message, type=kind, param=param, code=code))


def status_of(fault: Fault) -> int:
    """404 also for a model whose name is malformed: there cannot be such a model."""
    return 404 if _CODES.get(fault.code) == "model_not_found" else fault.outside.http


def render(fault: Fault, headers: dict[str, str]) -> Response:
    content = msgspec.json.encode(document(fault))
    return Response(content, status_of(fault), headers | should_retry(fault), "application/json")


def should_retry(fault: Fault) -> dict[str, str]:
    """OpenAI's clients retry every 409 and 5xx by themselves; this says which can succeed later."""
    return {"x-should-retry": "true" if fault.outside.retryable else "false"}
