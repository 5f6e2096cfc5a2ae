"""Server-sent events: JSON objects and an end marker, or an error that comes too late for a status.
Which shape an error has is decided by whoever makes the stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from server.audit import note_fault
from server.auth.revocation import while_confirmed
from server.error_table import Fault, fault_of

_END = b"data: [DONE]\n\n"
#: a comment, which readers of events skip
_KEEP_ALIVE = b": nothing new\n\n"


class EventStream(Response):
    """Sends each object of `objects`, and a comment for None, which keeps the connection alive.

    `close` is called at the end, also if the caller hung up. `render_error` makes the last event of
    a stream that fails.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        objects: AsyncGenerator[Mapping[str, Any] | None, None],
        close: Callable[[], None],
        headers: Mapping[str, str],
        *,
        render_error: Callable[[Fault], Mapping[str, Any]],
    ) -> None:
        self._objects, self._close, self._render_error = objects, close, render_error
        self.status_code, self.background = 200, None
        # proxies that buffer responses would hold events back
        self.init_headers({"cache-control": "no-cache", "x-accel-buffering": "no", **headers})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.ensure_future(self._send(scope, send))
        listening = asyncio.ensure_future(_wait_for_disconnect(receive))
        try:
            await asyncio.wait((sending, listening), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            self._close()
            sending.cancel()
            listening.cancel()
            await asyncio.wait((sending, listening))

    async def _send(self, scope: Scope, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async with (
                aclosing(self._objects) as objects,
                aclosing(while_confirmed(objects, scope["state"]["confirm"])) as confirmed,
            ):
                async for event in confirmed:
                    await _send_part(send, _KEEP_ALIVE if event is None else _encode(event))
            await _send_part(send, _END)
        except Exception as error:  # noqa: BLE001 the caller must learn of any failure
            await _send_part(send, _encode(self._render_error(_report(error, scope))))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _report(error: Exception, scope: Scope) -> Fault:
    fault, state = fault_of(error), scope["state"]
    note_fault(
        error,
        fault,
        method=scope["path"],
        request_id=state["request_id"],
        caller=state["caller"],
    )
    return fault


def _encode(value: Mapping[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


async def _send_part(send: Send, content: bytes) -> None:
    await send({"type": "http.response.body", "body": content, "more_body": True})


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
