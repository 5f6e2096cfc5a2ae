"""Errors over HTTP: `application/problem+json` with a stable code, and Retry-After for errors that
can be retried.
"""

from __future__ import annotations

import math
from typing import TypedDict

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from server.error_table import DOMAIN_ERRORS, INVALID, NOT_FOUND, Fault, Outside, fault_of
from server.errors import HungUp
from trainer.storage_errors import has_run_out

MEDIA_TYPE = "application/problem+json"


class Problem(TypedDict):
    """RFC 9457's document, with our stable `code` and the request's id."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str


def http_fault(error: BaseException) -> Fault:
    """The fault of one of our errors by the table, of the web framework's by its status."""
    if isinstance(error, RequestValidationError):
        return Fault(code="bad_request", message=_sentences(error), outside=INVALID)
    # the framework wraps errors raised while it reads a body: ours is the cause
    cause = error.__cause__ if isinstance(error, HTTPException) else error
    if isinstance(cause, ClientDisconnect):
        return fault_of(HungUp())
    is_ours = cause is not None and (isinstance(cause, DOMAIN_ERRORS) or has_run_out(cause))
    if isinstance(error, HTTPException) and not is_ours:
        return _framework_fault(error)
    return fault_of(cause or error)


def document(fault: Fault, request_id: str) -> Problem:
    return Problem(
        type="about:blank",
        title=fault.outside.title,
        status=fault.outside.http,
        detail=fault.message,
        code=fault.code,
        request_id=request_id,
    )


def render(fault: Fault, request_id: str) -> Response:
    content = msgspec.json.encode(document(fault, request_id))
    return Response(content, fault.outside.http, headers_of(fault), MEDIA_TYPE)


def headers_of(fault: Fault) -> dict[str, str]:
    headers = {}
    if fault.retry_after_s is not None:
        headers["retry-after"] = str(max(1, math.ceil(fault.retry_after_s)))
        headers["retry-after-ms"] = str(int(fault.retry_after_s * 1000))
    if fault.outside.http == 401:
        headers["www-authenticate"] = "Bearer"
    return headers


def _framework_fault(error: HTTPException) -> Fault:
    if error.status_code == 404:
        return Fault(code="no_such_route", message="There is no such path.", outside=NOT_FOUND)
    code = "method_not_allowed" if error.status_code == 405 else "bad_request"
    outside = Outside(http=error.status_code, grpc=INVALID.grpc, title=INVALID.title)
    return Fault(code=code, message=str(error.detail), outside=outside)


def _sentences(error: RequestValidationError) -> str:
    faults = [
        f"{'.'.join(str(part) for part in fault['loc'][1:])}: {fault['msg']}"
        for fault in error.errors()[:5]
    ]
    return "; ".join(faults)[:1000]
