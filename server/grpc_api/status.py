"""Errors as gRPC represents them: a status, a message, and trailing metadata for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import (  # type: ignore[import-untyped]
    BadRequest,
    ErrorInfo,
    QuotaFailure,
    RetryInfo,
)
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from server.error_table import Fault

DOMAIN = "adapterd"
#: clients refuse more than 8 KiB of trailers; these hold the message two or three times, with up to
#: three bytes for each of its bytes
_MESSAGE_BYTES = 1000
Detail = Any  # one of the messages above; the library has no types
Trailers = tuple[tuple[str, str | bytes], ...]


def message_of(fault: Fault) -> str:
    """The message, cut so that the trailers stay within the limit."""
    raw = fault.message.encode()
    if len(raw) <= _MESSAGE_BYTES:
        return fault.message
    return raw[: _MESSAGE_BYTES - 3].decode("utf-8", "ignore") + "\u2026"


def trailers_of(fault: Fault, request_id: str) -> Trailers:
    """The stable code, the request id, and for transient errors the retry delay."""
    trailers: Trailers = (
        ("adapterd-code", fault.code),
        ("x-request-id", request_id),
        ("grpc-status-details-bin", _status(fault, request_id).SerializeToString()),
    )
    if fault.outside.grpc is grpc.StatusCode.RESOURCE_EXHAUSTED:
        # a negative pushback means that clients do not retry
        pushback_ms = -1 if fault.retry_after_s is None else int(fault.retry_after_s * 1000)
        trailers += (("grpc-retry-pushback-ms", str(pushback_ms)),)
    return trailers


def _status(fault: Fault, request_id: str) -> Status:
    number: int = fault.outside.grpc.value[0]
    details = [_pack(detail) for detail in _details(fault, request_id)]
    return Status(code=number, message=message_of(fault), details=details)


def _details(fault: Fault, request_id: str) -> Iterator[Detail]:
    reason = fault.code.upper()
    yield ErrorInfo(reason=reason, domain=DOMAIN, metadata={"request_id": request_id})
    if fault.retry_after_s is not None:
        delay = Duration()
        delay.FromMilliseconds(int(fault.retry_after_s * 1000))
        yield RetryInfo(retry_delay=delay)
    if fault.outside.grpc is grpc.StatusCode.RESOURCE_EXHAUSTED:
        violation = QuotaFailure.Violation(subject=reason, description=fault.outside.title)
        yield QuotaFailure(violations=[violation])
    if fault.outside.grpc is grpc.StatusCode.INVALID_ARGUMENT and fault.param:
        description = message_of(fault)
        violation = BadRequest.FieldViolation(field=fault.param, description=description)
        yield BadRequest(field_violations=[violation])


def _pack(message: Detail) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
