"""Reads the messages of an authenticated call from bytes, with typed errors. Knows no service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from server.errors import BadCall, BodyTooLarge, TooSlow
from server.grpc_api.methods import Method
from server.limits import STALL_S

#: messages up to this many times the limit are received, to be refused with BodyTooLarge; gRPC
#: refuses larger ones with a message of its own
TOLERANCE = 4
Context = Any  # grpc.aio.ServicerContext is generic in stubs and not at run time


async def read_request(method: Method, context: Context, max_bytes: int) -> Message:
    """The one message of a call. Raises BadCall, BodyTooLarge or TooSlow."""
    try:
        async with asyncio.timeout(STALL_S):
            raw = await context.read()
    except TimeoutError:
        raise TooSlow(f"The call's message did not arrive within {STALL_S:g} s.") from None
    if raw is grpc.aio.EOF:
        raise BadCall(f"The call has no {method.request.DESCRIPTOR.full_name}.")
    return _parse(method, raw, max_bytes)


async def read_requests(
    method: Method, context: Context, max_bytes: int
) -> AsyncGenerator[Message, None]:
    """Every message of a stream. Raises BadCall or BodyTooLarge."""
    while (raw := await context.read()) is not grpc.aio.EOF:
        yield _parse(method, raw, max_bytes)


def _parse(method: Method, raw: bytes, max_bytes: int) -> Message:
    if len(raw) > max_bytes:
        raise BodyTooLarge(f"The message has {len(raw)} bytes; at most {max_bytes} are allowed.")
    try:
        return method.request.FromString(raw)
    except DecodeError:
        raise BadCall(
            f"The message cannot be read as {method.request.DESCRIPTOR.full_name}: its bytes are "
            "malformed, text in it is not UTF-8, or it is nested too deeply."
        ) from None
