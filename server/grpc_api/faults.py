"""Errors as gRPC says them: a status, a sentence, and trailing metadata for programs."""

from __future__ import annotations

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from server.error_table import Fault

DOMAIN = "adapterd"
Trailers = tuple[tuple[str, str | bytes], ...]


def trailers_of(fault: Fault, request_id: str) -> Trailers:
    """The stable code, the request id, and for transient refusals when to come back."""
    trailers: Trailers = (
        ("adapterd-code", fault.code),
        ("x-request-id", request_id),
        ("grpc-status-details-bin", _details(fault, request_id).SerializeToString()),
    )
    if fault.outside.grpc is grpc.StatusCode.RESOURCE_EXHAUSTED:
        # a negative pushback tells a client's retry policy not to try again at all
        pushback_ms = -1 if fault.retry_after_s is None else int(fault.retry_after_s * 1000)
        trailers += (("grpc-retry-pushback-ms", str(pushback_ms)),)
    return trailers


def _details(fault: Fault, request_id: str) -> Status:
    number: int = fault.outside.grpc.value[0]
    info = ErrorInfo(reason=fault.code, domain=DOMAIN, metadata={"request_id": request_id})
    details = [_packed(info)]
    if fault.retry_after_s is not None:
        delay = Duration()
        delay.FromMilliseconds(int(fault.retry_after_s * 1000))
        details.append(_packed(RetryInfo(retry_delay=delay)))
    return Status(code=number, message=fault.message, details=details)


def _packed(message: ErrorInfo | RetryInfo) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
